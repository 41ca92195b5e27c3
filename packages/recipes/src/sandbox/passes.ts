import { SANDBOX_LIMITS, type SandboxLimits } from './launcher.js';
import { type ProgramResult, runProgram } from './run-program.js';

export interface Verdict {
  passed: boolean;
  /** Why not, in one line: the exception, or the limit; `null` when it passed. */
  reason: string | null;
}

/**
 * Whether a program passes its tests: both run as one module in the sandbox, and the end of the tests is reached. A program that exits before
 * them has not passed.
 * @throws AppError `runtime_missing` where the sandbox is not installed, `internal` where it did not start.
 */
export async function passes(program: string, tests: string, limits: Partial<SandboxLimits> = {}): Promise<Verdict> {
  const result = await runProgram(`${program}\n${tests}\n`, limits);
  const passed = result.ending === 'finished';
  return { passed, reason: passed ? null : reasonOf(result, limits) };
}

/** SIGXCPU, and the SIGKILL that follows a second later where the program ignores it. */
const OVER_CPU = [128 + 24, 128 + 9];

/** Why a program did not run to its end, in one line. */
export function reasonOf({ ending, code, stderr }: ProgramResult, given: Partial<SandboxLimits> = {}): string {
  const limits = { ...SANDBOX_LIMITS, ...given };
  if (ending === 'time') return `It ran for more than ${limits.wallMs / 1000} s.`;
  if (ending === 'output') return `It wrote more than ${limits.outputBytes} bytes.`;
  if (code === 0) return 'It ended before its tests did.';
  if (OVER_CPU.includes(code ?? 0)) return `It took more than ${limits.cpuSeconds} s of processor time.`;
  return stderr.trim().split('\n').at(-1)?.slice(0, 500) || `It ended with exit status ${code}.`;
}
