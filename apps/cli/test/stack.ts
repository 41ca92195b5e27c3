import { AsyncLocalStorage } from 'node:async_hooks';
import { type ChildProcess, spawn } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Client, createClient } from '@moraine/contract/client';
import { runWords } from '../src/run-words.js';
import { signal } from '../src/up/processes.js';
import { readStack, type StackAddress } from '../src/up/stack-file.js';

const bin = fileURLToPath(new URL('../bin/moraine.mjs', import.meta.url));

export interface Cli {
  child: ChildProcess;
  /** Everything it printed so far. */
  output(): string;
  /** Resolves when the output matches; rejects when the command ends first or after `timeoutMs`. */
  says(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  ended: Promise<number | null>;
}

// What would point a command elsewhere.
for (const name of ['DATABASE_URL', 'REDIS_URL', 'OPENAI_BASE_URL', 'OPENAI_API_KEY', 'MORAINE_DATA'])
  delete process.env[name];

/** Runs the command line as a person does, in a process of its own, for what a signal or the stack itself is in the test. */
export function moraine(args: string[], extra: Record<string, string> = {}): Cli {
  const child = spawn(process.execPath, [bin, ...args], {
    env: { ...process.env, ...extra },
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

interface Printed {
  /** Both streams, in the order of what was written. */
  all: string;
  /** Standard output alone. */
  out: string;
}

/** What is printed belongs to the command in whose course it is printed, also where several run at once. */
const courses = new AsyncLocalStorage<Printed>();
for (const stream of [process.stdout, process.stderr]) {
  const write = stream.write.bind(stream);
  stream.write = ((chunk: string | Uint8Array, ...rest: []) => {
    const printed = courses.getStore();
    if (printed === undefined) return write(chunk, ...rest);
    const text = typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString();
    printed.all += text;
    if (stream === process.stdout) printed.out += text;
    return true;
  }) as typeof stream.write;
}

async function runHere(words: readonly string[], extra: Record<string, string>) {
  const before = { ...process.env };
  Object.assign(process.env, extra);
  const printed: Printed = { all: '', out: '' };
  try {
    return { status: await courses.run(printed, () => runWords(words)), printed };
  } finally {
    for (const name of Object.keys(extra))
      if (before[name] === undefined) delete process.env[name];
      else process.env[name] = before[name];
  }
}

/** Runs a command in this process, as `bin/moraine.mjs` does in its own; its whole output and exit status. */
export async function moraineOnce(
  words: readonly string[],
  extra: Record<string, string> = {},
): Promise<{ status: number; output: string }> {
  const { status, printed } = await runHere(words, extra);
  return { status, output: printed.all };
}

/** What a command prints on standard output with `--json`, whatever its status. */
export async function moraineJson(words: readonly string[], extra: Record<string, string> = {}) {
  const { status, printed } = await runHere([...words, '--json'], extra);
  if (printed.out === '') throw new Error(`moraine ${words.join(' ')} ended with ${status}: ${printed.all}`);
  return JSON.parse(printed.out);
}

/** A stack that `moraine up` runs, and what its tests talk to it with. */
export interface TestStack {
  up: Cli;
  address: StackAddress;
  client: Client;
  /** A command about this stack. */
  cli(...words: string[]): ReturnType<typeof moraineOnce>;
}

/** Runs `moraine up` on a folder and waits until it is up. */
export async function startUp(dataDir: string, ...words: string[]): Promise<TestStack> {
  const up = moraine(['up', '--data', dataDir, ...words]);
  await up.says(/Moraine is up after/, 240_000);
  const { api, apiKey } = readStack(dataDir);
  const address = { origin: api?.url ?? '', apiKey: apiKey ?? '' };
  return { up, address, client: createClient(address), cli: (...rest) => moraineOnce([...rest, '--data', dataDir]) };
}

/** Ends whatever works on a folder, and removes it. */
export async function removeStack(dataDir: string, stack?: TestStack): Promise<void> {
  stack?.up.child.kill('SIGINT');
  await stack?.up.ended;
  killAllOf(dataDir);
  rmSync(dataDir, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
}

export function killAllOf(dir: string): void {
  for (const pid of processesOf(dir)) signal(pid, 'SIGKILL');
}

/** The cells of a line of a table. */
export const columnsOf = (line: string | undefined): string[] => (line ?? '').split(/ {2,}/);

/** Pids of processes that work in a folder, or whose command line or environment names it (Linux). */
export function processesOf(dir: string): number[] {
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => {
      if (!Number.isInteger(pid) || pid === process.pid) return false;
      try {
        const read = (name: string): string => readFileSync(`/proc/${pid}/${name}`, 'utf8');
        // A server that names itself anew writes over both; it still works in its folder.
        return `${read('cmdline')}\n${read('environ')}\n${readlinkSync(`/proc/${pid}/cwd`)}`.includes(dir);
      } catch {
        return false;
      }
    });
}
