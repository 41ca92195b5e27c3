import { linkSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import { z } from 'zod';
import { readJson, writePrivate } from './files.js';
import { identify, isRunning } from './processes.js';

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

const EMPTY: StackFile = { supervisor: null, api: null, apiKey: null, postgres: null, redis: null, parts: [] };

const fileOf = (dataDir: string): string => path.join(dataDir, 'stack.json');

export function readStack(dataDir: string): StackFile {
  const read = StackFile.safeParse(readJson(fileOf(dataDir)));
  return read.success ? read.data : EMPTY;
}

export const writeStack = (dataDir: string, stack: StackFile): void =>
  writePrivate(fileOf(dataDir), `${JSON.stringify(stack, null, 2)}\n`);

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
export async function lockStack(dataDir: string): Promise<{ release(): void }> {
  // Not 0700: where Postgres has to become nobody it must pass through. Its own folder and every secret are closed to others.
  mkdirSync(dataDir, { recursive: true, mode: 0o711 });
  const lock = path.join(dataDir, 'up.lock');
  const me = identify(process.pid);
  const mine = JSON.stringify(me);
  const draft = `${lock}.${process.pid}`;
  writeFileSync(draft, mine);
  try {
    for (let tries = 0; ; tries++) {
      try {
        linkSync(draft, lock);
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || tries > 20) throw error;
      }
      const holder = Id.safeParse(readJson(lock));
      if (holder.success && isRunning(holder.data)) {
        const { api } = readStack(dataDir);
        throw new AppError(
          'conflict',
          `A stack already runs on ${dataDir} (process ${holder.data.pid}${api ? `, ${api.url}` : ''}).`,
          {
            hint: 'Use it as it is, stop it with Ctrl-C in its terminal, or start another one with --data DIR.',
          },
        );
      }
      rmSync(lock, { force: true });
    }
  } finally {
    rmSync(draft, { force: true });
  }
  // Two starts may both have removed the lock of a dead one: whoever wrote last holds it.
  await sleep(30);
  if (JSON.stringify(readJson(lock)) !== mine)
    throw new AppError('conflict', `Another stack starts on ${dataDir} at this moment.`);
  return { release: () => rmSync(lock, { force: true }) };
}
