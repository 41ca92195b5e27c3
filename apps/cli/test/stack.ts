import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const bin = fileURLToPath(new URL('../bin/moraine.mjs', import.meta.url));

export interface Cli {
  child: ChildProcess;
  /** Everything it printed so far. */
  output(): string;
  /** Resolves when the output matches; rejects when the command ends first or after `timeoutMs`. */
  says(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  ended: Promise<number | null>;
}

/** Runs the command line as a person does, without the variables that would point it elsewhere. */
export function moraine(args: string[], extra: Record<string, string> = {}): Cli {
  const {
    DATABASE_URL: _d,
    REDIS_URL: _r,
    OPENAI_BASE_URL: _b,
    OPENAI_API_KEY: _k,
    MORAINE_DATA: _m,
    ...env
  } = process.env;
  const child = spawn(process.execPath, [bin, ...args], {
    env: { ...env, ...extra },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let text = '';
  const listeners = new Set<() => void>();
  const hear = (chunk: Buffer): void => {
    text += chunk.toString();
    for (const listener of listeners) listener();
  };
  child.stdout.on('data', hear);
  child.stderr.on('data', hear);
  const ended = new Promise<number | null>((resolve) => child.once('close', resolve));
  return {
    child,
    output: () => text,
    ended,
    says: (pattern, timeoutMs = 90_000) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(() => finish(new Error(`never said ${pattern}:\n${text}`)), timeoutMs);
        const finish = (result: RegExpExecArray | Error): void => {
          clearTimeout(timer);
          listeners.delete(look);
          if (result instanceof Error) reject(result);
          else resolve(result);
        };
        const look = (): void => {
          const found = pattern.exec(text);
          if (found) finish(found);
        };
        listeners.add(look);
        void ended.then(() => finish(new Error(`ended before it said ${pattern}:\n${text}`)));
        look();
      }),
  };
}

/** The command's whole output and exit status. */
export async function moraineOnce(
  args: string[],
  extra: Record<string, string> = {},
): Promise<{ status: number | null; output: string }> {
  const cli = moraine(args, extra);
  const status = await cli.ended;
  return { status, output: cli.output() };
}

/** Pids of processes whose command line or environment names a folder (Linux). */
export function processesOf(dir: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      if (!Number.isInteger(pid) || pid === process.pid) return false;
      try {
        const read = (name: string): string => readFileSync(path.join('/proc', String(pid), name), 'utf8');
        return (read('cmdline') + read('environ')).includes(dir);
      } catch {
        return false;
      }
    });
}
