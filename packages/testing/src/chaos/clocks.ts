import pg from 'pg';
import { databaseClock } from '../database-clock.js';
import type { FakeTime } from './fake-time.js';

/** The clocks of the stack as a fault sets them. */
export interface Clocks {
  how: 'libfaketime' | 'SQL';
  /** The clock that leases are counted by. Milliseconds, counted from the true time. */
  setDatabase(stepMs: number): Promise<void>;
  /** The clock of every process, the database's with them. Null without libfaketime. */
  setAll: ((stepMs: number) => Promise<void>) | null;
}

export const DATABASE = 'database';
export const OTHERS = 'others';
const NEAR_MS = 5_000;

/** A fault that sets no clock would find nothing wrong. */
function prove(whose: string, theirMs: number, stepMs: number): void {
  const offMs = theirMs - Date.now();
  if (Math.abs(offMs - stepMs) > NEAR_MS)
    throw new Error(`${whose} clock was to be off by ${stepMs} ms and is off by ${offMs} ms`);
}

async function databaseNow(connectionString: string): Promise<number> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  try {
    const sql = 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms';
    return (await client.query<{ ms: number }>(sql)).rows[0]?.ms ?? 0;
  } finally {
    await client.end();
  }
}

/**
 * @param fake what the processes of the stack were started with; without it the database finds a `now()` of ours first
 * @param redisNow the time that Redis has, milliseconds
 */
export async function openClocks(
  fake: FakeTime | null,
  { databaseUrl, redisNow }: { databaseUrl: string; redisNow: () => Promise<number> },
): Promise<Clocks> {
  if (!fake) {
    const { setTo } = await databaseClock(databaseUrl);
    return { how: 'SQL', setDatabase: setTo, setAll: null };
  }
  const setDatabase = async (stepMs: number): Promise<void> => {
    fake.set(DATABASE, stepMs);
    prove("Postgres'", await databaseNow(databaseUrl), stepMs);
  };
  return {
    how: 'libfaketime',
    setDatabase,
    async setAll(stepMs) {
      fake.set(OTHERS, stepMs);
      await setDatabase(stepMs);
      prove("Redis'", await redisNow(), stepMs);
    },
  };
}
