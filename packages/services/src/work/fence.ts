import { AppError } from '@moraine/contract';
import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import { inTransaction } from '../ground/transaction.js';

/** Statuses of an attempt that is not over; the partial indexes of `attempts` name the same three. */
export const LIVE = `('claimed', 'provisioning', 'running')`;

/** Which attempts pass: every one that holds its task (`any`), or only one that has been given up for lost and is still silent (`expired`). */
export interface FenceOptions {
  lease?: 'any' | 'expired';
}

/**
 * The fence, as the first part of a statement: one row when the token may write, none when it may not. It locks the task, so that a
 * claim comes wholly before or wholly after the rest of the transaction. Parameters $1 to $3 are the token's. `expired` locks the attempt
 * as well: only then does Postgres look again at a lease that was renewed while it waited for the lock.
 */
export function fence({ lease = 'any' }: FenceOptions = {}): string {
  const isExpired = lease === 'expired';
  return `token AS MATERIALIZED (
  SELECT t.id, t.project_id, t.state
  FROM tasks t JOIN attempts a ON a.task_id = t.id AND a.attempt = t.attempt
  WHERE t.id = $1 AND t.attempt = $2 AND a.worker_id = $3 AND t.status = 'running' AND a.status IN ${LIVE}
  ${isExpired ? `AND t.state IN ('lost_contact', 'cancelling', 'pausing') AND a.lease_expires_at < now()` : ''}
  FOR NO KEY UPDATE OF t${isExpired ? ', a' : ''})`;
}

/** The fence of an attempt's own writes. */
export const TOKEN = fence();

export const tokenValues = (token: AttemptToken): [string, number, string] => [
  token.taskId,
  token.attempt,
  token.workerId,
];

export const staleAttempt = (token: AttemptToken): AppError =>
  new AppError('stale_attempt', `Attempt ${token.attempt} of ${token.taskId} may no longer write.`, {
    hint: 'The task has ended or another worker has taken it over; this attempt stops.',
  });

/**
 * Runs one statement that begins with `WITH ${TOKEN}` and returns exactly one row when the token holds. With `withinMs` its answer is
 * waited for no longer than that.
 * @throws AppError `stale_attempt` when it returns none.
 */
export async function fenced<Row extends pg.QueryResultRow>(
  s: Services,
  token: AttemptToken,
  sql: string,
  values: readonly unknown[] = [],
  { withinMs }: { withinMs?: number } = {},
): Promise<Row> {
  const query = { text: sql, values: [...tokenValues(token), ...values], query_timeout: withinMs };
  const { rows } = await s.pg.query<Row>(query);
  const row = rows[0];
  if (!row) throw staleAttempt(token);
  return row;
}

/** What the fence says of a task that it lets the token write to. */
export interface Held {
  project_id: string;
  state: string | null;
}

/**
 * Runs `work` in a transaction that holds the task's lock; null, and nothing is run, when the fence does not let the token through.
 * Everything that `work` reads is read after the lock is held.
 */
export async function underFence<T>(
  s: Services,
  token: AttemptToken,
  work: (client: pg.PoolClient, held: Held) => Promise<T>,
  options: FenceOptions = {},
): Promise<T | null> {
  return inTransaction(s, async (client) => {
    const sql = `WITH ${fence(options)} SELECT project_id, state FROM token`;
    const { rows } = await client.query<Held>(sql, tokenValues(token));
    const held = rows[0];
    return held ? work(client, held) : null;
  });
}

/** The same for a write that only the task's attempt may send. @throws AppError `stale_attempt`. */
export async function underToken<T>(
  s: Services,
  token: AttemptToken,
  work: (client: pg.PoolClient, held: Held) => Promise<T>,
): Promise<T> {
  const done = await underFence(s, token, async (client, held) => ({ result: await work(client, held) }));
  if (!done) throw staleAttempt(token);
  return done.result;
}

/** True when this very attempt has already ended so: the response was lost on the way and it was sent again. */
export async function hasEnded(s: Services, token: AttemptToken, statuses: readonly string[]): Promise<boolean> {
  const { rowCount } = await s.pg.query(
    'SELECT 1 FROM attempts WHERE task_id = $1 AND attempt = $2 AND worker_id = $3 AND status = ANY($4)',
    [...tokenValues(token), statuses],
  );
  return (rowCount ?? 0) > 0;
}
