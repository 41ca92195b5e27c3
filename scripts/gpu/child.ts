/** Programs of this folder in processes of their own, whose memory and device are theirs; here or compiled in a bundle. */
import { extname, join } from 'node:path';
import { runCommand } from '@moraine/engine/install';

export interface ChildOptions {
  env?: Record<string, string>;
  timeoutMs: number;
}

/** What a child printed as JSON on its last line, or what it said when it failed. */
export type ChildResult<T> = { value: T; problem: '' } | { value: null; problem: string };

/** Runs `scripts/gpu/<name>` with one argument, as this process is run: through tsx in a checkout, as JavaScript in a bundle. */
export function runProgram<T>(name: string, argument: unknown, options: ChildOptions): Promise<ChildResult<T>> {
  const file = join(import.meta.dirname, `${name}${extname(import.meta.filename)}`);
  return runJson(process.execPath, [...process.execArgv, file, JSON.stringify(argument)], options);
}

export async function runJson<T>(program: string, words: string[], options: ChildOptions): Promise<ChildResult<T>> {
  const { status, stdout, stderr } = await runCommand(program, words, {
    ...options,
    timeoutMs: Math.max(1, Math.floor(options.timeoutMs)),
  });
  const line = stdout.trim().split('\n').at(-1) ?? '';
  if (status === 0 && line.startsWith('{')) return { value: JSON.parse(line) as T, problem: '' };
  return { value: null, problem: problemIn(stderr) || `it ended with status ${status}` };
}

/** The line of a program's last words that names the error, else the last lines. */
function problemIn(stderr: string): string {
  const lines = stderr.trim().split('\n');
  return lines.findLast((line) => /^(\w*Error|moraine)\b.*:/.test(line)) ?? lines.slice(-6).join('\n');
}
