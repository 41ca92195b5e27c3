import type pg from 'pg';
import type { Services } from '../ground/context.js';
import { SIGN_OF_LIFE_MS } from '../ground/patience.js';
import { LIVE } from '../work/fence.js';

/** The database's clock, read at some moment between two of this process' own, which only ever goes on. Milliseconds. */
export interface Reading {
  databaseMs: number;
  fromMs: number;
  untilMs: number;
}

/** Less than this may be the way of the answer, or the clock being kept in time little by little. */
const STEP_MS = 1_000;
/** No task is held back for longer than this by itself. */
const HELD_BACK_MS = 60_000;

/** @throws what the driver says, when the database does not respond in the time of a sign of life. */
export async function readClock(client: Pick<pg.ClientBase, 'query'>): Promise<Reading> {
  const fromMs = performance.now();
  const query = {
    text: 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::float8 AS ms',
    query_timeout: SIGN_OF_LIFE_MS,
  };
  const { rows } = await client.query<{ ms: number }>(query);
  return { databaseMs: rows[0]?.ms ?? 0, fromMs, untilMs: performance.now() };
}

/**
 * By how much the database's clock stepped between two readings, beyond the time that passed here: 300,000 where somebody put it on by
 * five minutes, −300,000 where it was put back; 0 where the readings agree within a second.
 */
export function stepBetween(before: Reading, after: Reading): number {
  const passed = after.databaseMs - before.databaseMs;
  const [least, most] = [after.fromMs - before.untilMs, after.untilMs - before.fromMs];
  if (passed > most + STEP_MS) return passed - most;
  if (passed < least - STEP_MS) return passed - least;
  return 0;
}

/**
 * What was written before the clock was put back lies in its future: leases that nobody renews would last until it is there again, tasks
 * would wait and dead workers live as long. Such times become those that they could be at most by the clock of now.
 */
export async function pullBack(s: Services, leaseMs: number): Promise<void> {
  await s.pg.query(
    `UPDATE attempts SET lease_expires_at = now() + $1 * interval '1 millisecond'
     WHERE status IN ${LIVE} AND lease_expires_at > now() + $2 * interval '1 millisecond'`,
    [leaseMs, leaseMs + STEP_MS],
  );
  await s.pg.query(
    `UPDATE tasks SET queued_at = date_trunc('milliseconds', now()) WHERE status = 'queued' AND queued_at > now() + $1 * interval '1 millisecond'`,
    [HELD_BACK_MS],
  );
  await s.pg.query(
    `UPDATE workers SET heartbeat_at = date_trunc('milliseconds', now()) WHERE status NOT IN ('lost', 'gone') AND heartbeat_at > now() + $1 * interval '1 millisecond'`,
    [STEP_MS],
  );
}
