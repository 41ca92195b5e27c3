/** Whether a device computes the same in every mode: ten losses of each method, compared pair by pair. */
import { join, resolve } from 'node:path';
import { runCommand } from '@moraine/engine/install';
import { type BenchRun, runBench } from './bench-run.js';

export interface Comparison {
  what: string;
  method: string;
  /** Largest |a - b| / |b| of the ten losses; null when one of the runs failed. */
  difference: number | null;
  /** Null: reported, not judged. */
  limit: number | null;
  problem: string;
}

export const METHODS = ['full', 'lora', 'mora-1', 'mora-6'] as const;

/**
 * TensorFloat-32 cuts the inputs of a float32 matrix product to 10 bits on Ampere and later, which is 1e-3 and not an error of ours. It is
 * off where eager and traced are compared with each other and with PyTorch, and on where speed is measured, as TensorFlow has it.
 */
export const EXACT = { NVIDIA_TF32_OVERRIDE: '0' };

/**
 * bfloat16 keeps 8 bits of a frozen weight and of what it is multiplied with: 2^-9 of relative rounding each, averaged over hundreds of
 * products. Losses near 1 to 5 nats then differ by less than a hundredth of themselves; a wrong layer differs by more.
 */
export const BF16_LIMIT = 1e-2;
const TF32_LIMIT = 1e-2;
const EQUAL_LIMIT = 1e-4;
/** XLA reorders sums and fuses; that stays far below TF32's rounding. */
const XLA_LIMIT = 1e-3;

export function largestDifference(a: readonly number[], b: readonly number[]): number {
  if (a.length !== b.length || a.length === 0) return Number.POSITIVE_INFINITY;
  return Math.max(...a.map((x, i) => Math.abs(x - (b[i] ?? Number.NaN)) / Math.abs(b[i] ?? Number.NaN)));
}

const root = resolve(import.meta.dirname, '../..');

function tenSteps(method: string, mode: string, env: Readonly<Record<string, string>>): Promise<BenchRun> {
  const rows = join(root, 'examples/tasks/record-train.jsonl');
  const args = [
    '--base',
    join(root, 'examples/base'),
    '--data',
    rows,
    '--method',
    method,
    '--rank',
    '8',
    '--mode',
    mode,
  ];
  return runBench([...args, '--batch', '8', '--seq', '128', '--steps', '10', '--seed', '1'], env);
}

/** Every method: eager, traced twice, traced with TF32, bfloat16 and XLA. `say` hears of each run. */
export async function compareModes(say: (line: string) => void): Promise<Comparison[]> {
  const found: Comparison[] = [];
  for (const method of METHODS) {
    const plain = await tenSteps(method, 'plain', EXACT);
    const against = async (
      what: string,
      mode: string,
      limit: number | null,
      env: Readonly<Record<string, string>> = EXACT,
    ): Promise<void> => {
      const other = await tenSteps(method, mode, env);
      const [a, b] = [other.figures?.losses, plain.figures?.losses];
      const difference = a === undefined || b === undefined ? null : largestDifference(a, b);
      const problem = plain.problem || other.problem;
      found.push({ what, method, difference, limit, problem });
      say(`${method}, ${what}: ${difference === null ? problem : difference.toExponential(1)}`);
    };
    await against('eager and traced', 'eager', EQUAL_LIMIT);
    await against('traced twice', 'plain', null);
    await against('traced, with TF32 and without', 'plain', TF32_LIMIT, {});
    await against('bfloat16 and traced', 'bf16', method === 'full' ? EQUAL_LIMIT : BF16_LIMIT);
    await against('XLA and traced', 'xla', XLA_LIMIT);
  }
  return found;
}

export function isWithin({ difference, limit }: Comparison): boolean {
  return difference !== null && Number.isFinite(difference) && (limit === null || difference <= limit);
}

export interface Golden {
  passed: number;
  failed: number;
  /** Names of the tests that failed, and what vitest said when it did not come to an end. */
  problems: string[];
}

/** The fixtures of PyTorch (packages/lm/test/golden.test.ts) on this device, without TF32. */
export async function runGolden(): Promise<Golden> {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const args = [vitest, 'run', 'packages/lm/test/golden.test.ts', '--reporter=json'];
  const { stdout, stderr } = await runCommand(process.execPath, args, { cwd: root, env: EXACT });
  try {
    const report = JSON.parse(stdout.slice(stdout.indexOf('{'))) as {
      numPassedTests: number;
      numFailedTests: number;
      testResults: { assertionResults: { fullName: string; status: string }[] }[];
    };
    const failed = report.testResults
      .flatMap(({ assertionResults }) => assertionResults)
      .filter(({ status }) => status === 'failed');
    return {
      passed: report.numPassedTests,
      failed: report.numFailedTests,
      problems: failed.map(({ fullName }) => fullName),
    };
  } catch {
    return { passed: 0, failed: 1, problems: [`vitest gave no report: ${stderr.trim().slice(-400)}`] };
  }
}
