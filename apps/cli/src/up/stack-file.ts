import { existsSync, linkSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { z } from 'zod';
import { readJson, writePrivate } from './files.js';
import { identify, isRunning, type ProcessId } from './processes.js';

const Id = z.object({ pid: z.int(), started: z.string() });

/** A Node process of the stack as the next start finds it again. */
export const RememberedPart = Id.extend({ name: z.string(), fingerprint: z.string() });
export type RememberedPart = z.infer<typeof RememberedPart>;

/** `.data/stack.json`, mode 0600. It survives a stop: key and port stay the same. */
export const StackFile = z.object({
  /** The supervisor. The stack runs while this process does. */
  supervisor: Id.nullable(),
  api: z.object({ url: z.string(), port: z.int() }).nullable(),
  apiKey: z.string().nullable(),
  postgres: z.object({ url: z.string() }).nullable(),
  redis: z.object({ url: z.string() }).nullable(),
  parts: z.array(RememberedPart),
});
export type StackFile = z.infer<typeof StackFile>;

/** Made anew each time: a start fills in what it reads. */
const emptyStack = (): StackFile => ({
  supervisor: null,
  api: null,
  apiKey: null,
  postgres: null,
  redis: null,
  parts: [],
});

const fileOf = (dataDir: string): string => path.join(dataDir, 'stack.json');
/** The same once more: the root key stands nowhere else, and processes are found again by it. */
const copyOf = (dataDir: string): string => path.join(dataDir, 'stack.copy.json');

/**
 * What is known of the stack: by its file, by the copy where that is damaged or gone, or nothing. A file without the root key is no better than a
 * damaged one where the copy has it: another key would be made.
 */
export function readStack(dataDir: string): StackFile {
  const read = [fileOf(dataDir), copyOf(dataDir)].flatMap((file) => StackFile.safeParse(readJson(file)).data ?? []);
  return read.find(({ apiKey }) => apiKey !== null) ?? read[0] ?? emptyStack();
}

const textOf = (stack: StackFile): string => `${JSON.stringify(stack, null, 2)}\n`;

export const writeStack = (dataDir: string, stack: StackFile): void => writePrivate(fileOf(dataDir), textOf(stack));

/** Writes the file and its copy, one after the other: one of them is always whole. */
export function saveStack(dataDir: string, stack: StackFile): void {
  writeStack(dataDir, stack);
  writePrivate(copyOf(dataDir), textOf(stack));
}

export interface StackAddress {
  origin: string;
  apiKey: string;
}

/** Address and key of the stack that runs on this data; null when none does. */
export function runningStack(dataDir: string): StackAddress | null {
  const { supervisor, api, apiKey } = readStack(dataDir);
  return supervisor && api && apiKey && isRunning(supervisor) ? { origin: api.url, apiKey } : null;
}

/**
 * Makes this process the only supervisor of the data folder, until `release`.
 * @throws AppError `conflict` naming the process that is it already.
 */
export function lockStack(dataDir: string): { release(): void } {
  // Not 0700: where Postgres has to become nobody it must pass through. Its own folder and every secret are closed to others.
  makeFolder(dataDir, 0o711, 'name another folder with --data DIR');
  const lock = path.join(dataDir, 'up.lock');
  const draft = `${lock}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(identify(process.pid)));
  try {
    const other = otherSupervisor(dataDir);
    const holder = takeLock(lock, draft) ?? other;
    if (!holder) return { release: () => rmSync(lock, { force: true }) };
    // Its lock was damaged or removed: it gets one again, which its end removes.
    if (holder === other) writePrivate(lock, JSON.stringify(other));
    const { api } = readStack(dataDir);
    throw new AppError(
      'conflict',
      `A stack already runs on ${dataDir} (process ${holder.pid}${api ? `, ${api.url}` : ''}).`,
      { hint: 'Use it as it is, stop it with Ctrl-C in its terminal, or start another one with --data DIR.' },
    );
  } finally {
    rmSync(draft, { force: true });
  }
}

/** A supervisor that runs although its lock was damaged or removed. */
function otherSupervisor(dataDir: string): ProcessId | null {
  const { supervisor } = readStack(dataDir);
  return supervisor && supervisor.pid !== process.pid && isRunning(supervisor) ? supervisor : null;
}

/**
 * Puts the draft, which names this process, where the lock is. Returns null, or the running process that holds the lock.
 *
 * The lock of a dead process is replaced, never removed, and only by the one that holds a second lock, named after the dead process. So of
 * two that find the same dead holder one waits its turn and then sees that the lock has changed.
 */
function takeLock(lock: string, draft: string): ProcessId | null {
  for (;;) {
    if (linkOnce(draft, lock)) return null;
    const content = readJson(lock);
    const holder = Id.safeParse(content);
    if (holder.success && isRunning(holder.data)) return holder.data;
    const turn = `${lock}.${holder.success ? `${holder.data.pid}-${holder.data.started.replaceAll(/\W/g, '')}` : 'damaged'}`;
    const rival = takeLock(turn, draft);
    if (rival) return rival;
    if (existsSync(lock) && JSON.stringify(readJson(lock)) === JSON.stringify(content)) {
      renameSync(turn, lock);
      return null;
    }
    rmSync(turn);
  }
}

/** Gives a file a second name; false when the name is taken. */
function linkOnce(file: string, name: string): boolean {
  try {
    linkSync(file, name);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}
