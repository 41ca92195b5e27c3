import { AppError } from '@moraine/contract';
import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';

/**
 * The fence, as the first part of a statement: one row when the token may write, none when it may not. It locks the run, so that a
 * claim by another worker comes wholly before or wholly after the rest of the statement. Parameters $1 to $3 are the token's.
 */
export const TOKEN = `token AS MATERIALIZED (
  SELECT r.id, r.project_id, r.state, r.steps
  FROM runs r JOIN attempts a ON a.run_id = r.id AND a.attempt = r.attempt
  WHERE r.id = $1 AND r.attempt = $2 AND a.worker_id = $3 AND r.status = 'running'
    AND a.status IN ('claimed', 'provisioning', 'running')
  FOR NO KEY UPDATE OF r)`;

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
  const { rows } = await s.pg.query<Row>(sql, [token.runId, token.attempt, token.workerId, ...values]);
  const row = rows[0];
  if (!row) throw staleAttempt(token);
  return row;
}

/** True when this very attempt has already ended so: its answer was lost on the way and it was sent again. */
export async function hasEnded(s: Services, token: AttemptToken, statuses: readonly string[]): Promise<boolean> {
  const { rowCount } = await s.pg.query(
    'SELECT 1 FROM attempts WHERE run_id = $1 AND attempt = $2 AND worker_id = $3 AND status = ANY($4)',
    [token.runId, token.attempt, token.workerId, statuses],
  );
  return (rowCount ?? 0) > 0;
}
