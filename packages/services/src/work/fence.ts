import { AppError } from '@moraine/contract';
import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';

/** Statuses of an attempt that is not over; the partial indexes of `attempts` name the same three. */
export const LIVE = `('claimed', 'provisioning', 'running')`;

/** Which attempts pass: every one that holds its run (`any`), or only one that has been given up for lost and is still silent (`expired`). */
export interface FenceOptions {
  lease?: 'any' | 'expired';
}

/**
 * The fence, as the first part of a statement: one row when the token may write, none when it may not. It locks the run, so that a
 * claim comes wholly before or wholly after the rest of the transaction. Parameters $1 to $3 are the token's. `expired` locks the attempt
 * as well: only then does Postgres look again at a lease that was renewed while it waited for the lock.
 */
export function fence({ lease = 'any' }: FenceOptions = {}): string {
  const isExpired = lease === 'expired';
  return `token AS MATERIALIZED (
  SELECT r.id, r.project_id, r.state, r.steps
  FROM runs r JOIN attempts a ON a.run_id = r.id AND a.attempt = r.attempt
  WHERE r.id = $1 AND r.attempt = $2 AND a.worker_id = $3 AND r.status = 'running' AND a.status IN ${LIVE}
  ${isExpired ? `AND r.state IN ('lost_contact', 'cancelling') AND a.lease_expires_at < now()` : ''}
  FOR NO KEY UPDATE OF r${isExpired ? ', a' : ''})`;
}

/** The fence of an attempt's own writes. */
export const TOKEN = fence();

export const tokenValues = (token: AttemptToken): [string, number, string] => [
  token.runId,
  token.attempt,
  token.workerId,
];

export const staleAttempt = (token: AttemptToken): AppError =>
  new AppError('stale_attempt', `Attempt ${token.attempt} of run ${token.runId} may no longer write.`, {
    hint: 'The run has ended or another worker has taken it over; this attempt stops.',
  });

/**
 * Runs one statement that begins with `WITH ${TOKEN}` and answers exactly one row when the token holds.
 * @throws AppError `stale_attempt` when it answers none.
 */
export async function fenced<Row extends pg.QueryResultRow>(
  s: Services,
  token: AttemptToken,
  sql: string,
  values: readonly unknown[] = [],
): Promise<Row> {
  const { rows } = await s.pg.query<Row>(sql, [...tokenValues(token), ...values]);
  const row = rows[0];
  if (!row) throw staleAttempt(token);
  return row;
}

/** True when this very attempt has already ended so: its answer was lost on the way and it was sent again. */
export async function hasEnded(s: Services, token: AttemptToken, statuses: readonly string[]): Promise<boolean> {
  const { rowCount } = await s.pg.query(
    'SELECT 1 FROM attempts WHERE run_id = $1 AND attempt = $2 AND worker_id = $3 AND status = ANY($4)',
    [...tokenValues(token), statuses],
  );
  return (rowCount ?? 0) > 0;
}
