import { existsSync, readdirSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { familyOf, signalAll } from './process-part.js';
import { type ChaosStack, LEASE_MS } from './stack.js';

/** Draws a number from 0 up to 1, the same ones for the same seed. */
export type Random = () => number;

export interface Fault {
  name: string;
  /** Whether an attempt may be lost to it: else every run must be done by its first. */
  harmsWorkers: boolean;
  /** Left out of the short form. */
  isLong?: boolean;
  /** Why it cannot be done here; absent or null where it can. */
  impossible?(stack: ChaosStack): string | null;
  /** Does it and undoes it; resolves when the service could work again. */
  strike(stack: ChaosStack, random: Random): Promise<void>;
}

const pick = <T>(of: readonly T[], random: Random): T => of[Math.floor(random() * of.length)] as T;

/** The children that train: processes below a worker. */
const childrenOf = (stack: ChaosStack): number[] =>
  stack.workers.flatMap((worker) => {
    const pid = worker.pid();
    return pid === null ? [] : familyOf(pid).slice(1);
  });

async function stopFor(pids: readonly number[], ms: number): Promise<void> {
  signalAll(pids, 'SIGSTOP');
  await sleep(ms);
  signalAll(pids, 'SIGCONT');
}

/** One statement over a connection of its own, which may write whatever the default is. */
async function sql(stack: ChaosStack, text: string): Promise<void> {
  const client = new pg.Client({ connectionString: stack.postgres().url });
  await client.connect();
  try {
    await client.query('SET default_transaction_read_only = off');
    await client.query(text);
  } finally {
    await client.end();
  }
}

async function tellRedis({ s }: ChaosStack, ...command: [string, ...string[]]): Promise<void> {
  await s.redis.call(...command);
}

const kill = (pid: number | null): void => signalAll(pid === null ? [] : [pid], 'SIGKILL');

async function refuseWrites(stack: ChaosStack, ms: number): Promise<void> {
  await sql(stack, 'ALTER SYSTEM SET default_transaction_read_only = on');
  await sql(stack, 'SELECT pg_reload_conf()');
  await sleep(ms);
  await sql(stack, 'ALTER SYSTEM RESET default_transaction_read_only');
  await sql(stack, 'SELECT pg_reload_conf()');
}

async function useConnectionsUp(stack: ChaosStack, ms: number): Promise<void> {
  const held: pg.Client[] = [];
  try {
    for (;;) {
      const client = new pg.Client({ connectionString: stack.postgres().url });
      client.on('error', () => undefined);
      await client.connect();
      held.push(client);
    }
  } catch {
    await sleep(ms);
  }
  await Promise.all(held.map((client) => client.end()));
}

/** Turns a bit of the largest file of the newest checkpoint on the disk. */
async function flipBit(stack: ChaosStack): Promise<void> {
  const root = path.join(stack.disk?.dir ?? stack.dir, 'blobs', 'runs');
  if (!existsSync(root)) return;
  const states = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => /checkpoints\/step-\d+\/state\.json$/.test(name))
    .map((name) => path.join(root, name))
    .toSorted((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs);
  const newest = states[0];
  if (newest === undefined) return;
  const file = await open(newest, 'r+');
  await file.write(Buffer.from([0xff]), 0, 1, 2);
  await file.close();
}

export const FAULTS: readonly Fault[] = [
  {
    name: 'kill -9 of a worker',
    harmsWorkers: true,
    async strike({ workers }, random) {
      pick(workers, random).signal('SIGKILL');
    },
  },
  {
    name: 'kill -9 of a training child',
    harmsWorkers: true,
    async strike(stack, random) {
      kill(pick([...childrenOf(stack), null], random) ?? childrenOf(stack)[0] ?? null);
    },
  },
  {
    name: 'kill -9 of the API',
    harmsWorkers: false,
    async strike({ api }) {
      api.signal('SIGKILL');
    },
  },
  { name: 'kill -9 of Redis', harmsWorkers: false, strike: (stack) => stack.crash('redis') },
  { name: 'kill -9 of Postgres', harmsWorkers: false, strike: (stack) => stack.crash('postgres') },
  {
    name: 'kill -9 of everything',
    harmsWorkers: true,
    async strike(stack) {
      for (const part of [stack.api, ...stack.workers]) part.signal('SIGKILL');
      await Promise.all([stack.crash('redis'), stack.crash('postgres')]);
    },
  },
  {
    name: 'a worker stopped past its lease',
    harmsWorkers: true,
    async strike({ workers }, random) {
      await stopFor([pick(workers, random).pid() ?? 0].filter(Boolean), LEASE_MS + 3_000);
    },
  },
  {
    name: 'the API stopped',
    harmsWorkers: false,
    isLong: true,
    strike: ({ api }) => stopFor([api.pid() ?? 0].filter(Boolean), LEASE_MS + 3_000),
  },
  { name: 'Redis hung', harmsWorkers: false, strike: (stack) => stopFor([stack.redis().id.pid], LEASE_MS + 2_000) },
  {
    name: 'Postgres hung',
    harmsWorkers: false,
    strike: (stack) => stopFor(familyOf(stack.postgres().id.pid), LEASE_MS + 2_000),
  },
  {
    name: 'Postgres flapping',
    harmsWorkers: false,
    isLong: true,
    async strike(stack) {
      for (let i = 0; i < 4; i++) {
        await stack.crash('postgres');
        await sleep(700);
      }
    },
  },
  { name: 'Redis wiped', harmsWorkers: false, strike: (stack) => tellRedis(stack, 'FLUSHALL') },
  {
    name: 'Redis read-only',
    harmsWorkers: false,
    async strike(stack) {
      // Every write is refused, as on a replica: NOREPLICAS.
      await tellRedis(stack, 'CONFIG', 'SET', 'min-replicas-to-write', '1');
      await sleep(3_000);
      await tellRedis(stack, 'CONFIG', 'SET', 'min-replicas-to-write', '0');
    },
  },
  {
    name: 'Redis out of memory',
    harmsWorkers: false,
    async strike(stack) {
      await tellRedis(stack, 'CONFIG', 'SET', 'maxmemory', '1');
      await sleep(3_000);
      await tellRedis(stack, 'CONFIG', 'SET', 'maxmemory', '0');
    },
  },
  { name: 'Postgres read-only', harmsWorkers: false, strike: (stack) => refuseWrites(stack, LEASE_MS + 2_000) },
  { name: 'connections used up', harmsWorkers: false, strike: (stack) => useConnectionsUp(stack, 3_000) },
  {
    name: 'clock put on 300 s and back',
    harmsWorkers: false,
    async strike({ clock }) {
      await clock.setTo(300_000);
      await sleep(LEASE_MS);
      await clock.setTo(0);
    },
  },
  {
    name: 'clock put back 300 s and on',
    harmsWorkers: false,
    async strike({ clock }) {
      await clock.setTo(-300_000);
      await sleep(LEASE_MS);
      await clock.setTo(0);
    },
  },
  {
    name: 'blob disk full',
    harmsWorkers: false,
    impossible: ({ disk }) => (disk ? null : 'this user may not mount'),
    async strike({ disk }) {
      disk?.fill();
      await sleep(3_000);
      disk?.free();
    },
  },
  {
    name: 'a bit of a checkpoint flipped, its worker killed',
    harmsWorkers: true,
    async strike(stack) {
      await flipBit(stack);
      for (const child of childrenOf(stack)) kill(child);
    },
  },
  {
    name: 'two of everything',
    harmsWorkers: false,
    async strike(stack) {
      const end = stack.double();
      await sleep(3_000);
      await end();
    },
  },
];
