import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { familyOf } from '../process-part.js';
import type { ChaosStack } from '../stack.js';
import { type Fault, stopFor } from './fault.js';

const AWAY_MS = 3_000;
const FLAPS = 4;

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

/** Sets a setting of Redis for a while. */
const redisWith =
  (key: string, [bad, good]: [string, string]): Fault['strike'] =>
  async (stack) => {
    await tellRedis(stack, 'CONFIG', 'SET', key, bad);
    await sleep(AWAY_MS);
    await tellRedis(stack, 'CONFIG', 'SET', key, good);
  };

export const REDIS: readonly Fault[] = [
  {
    name: 'Redis hung',
    harms: 'none',
    strike: (stack) => stopFor([stack.redis().id.pid], stack.leaseMs + 2_000),
  },
  { name: 'Redis wiped', harms: 'none', strike: (stack) => tellRedis(stack, 'FLUSHALL') },
  // Every write is refused, as on a replica: NOREPLICAS.
  { name: 'Redis read-only', harms: 'none', strike: redisWith('min-replicas-to-write', ['1', '0']) },
  { name: 'Redis out of memory', harms: 'none', strike: redisWith('maxmemory', ['1', '0']) },
];

export const POSTGRES: readonly Fault[] = [
  {
    name: 'Postgres hung',
    harms: 'none',
    strike: (stack) => stopFor(familyOf(stack.postgres().id.pid), stack.leaseMs + 2_000),
  },
  { name: 'Postgres read-only', harms: 'none', strike: (stack) => refuseWrites(stack, stack.leaseMs + 2_000) },
  {
    name: 'Postgres flapping',
    harms: 'none',
    isOutlasted: true,
    isLong: true,
    async strike(stack) {
      for (let i = 0; i < FLAPS; i++) {
        await stack.crash('postgres');
        await sleep(700);
      }
    },
  },
  { name: 'connections used up', harms: 'none', strike: (stack) => useConnectionsUp(stack, AWAY_MS) },
];
