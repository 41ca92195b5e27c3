import { AppError, explain, type StateReason } from '@moraine/contract';
import type { AttemptToken, Services } from '../context.js';
import { withdrawOffer } from '../queue/offer-run.js';
import { notify, statusMessage } from '../streams/publish.js';
import { failAttempt } from './fail-attempt.js';
import { type Job, loadJob } from './load-job.js';

/** How long an attempt may stay silent before somebody else may take its run, by the database's clock. */
export const LEASE_MS = 20_000;

export interface Claim {
  token: AttemptToken;
  job: Job;
}

interface ClaimedRow {
  id: string;
  attempt: number;
  submission: number;
  pool: string;
  status: string;
  state: string;
  state_reason: StateReason;
}

/** Priority class first, then the project with the fewest runs on workers, then age. Rows that another worker is taking are passed over. */
const CLAIM = `
  WITH busy AS (
    SELECT project_id, count(*) AS running FROM runs WHERE status = 'running' GROUP BY project_id
  ), picked AS (
    SELECT r.id FROM runs r LEFT JOIN busy b ON b.project_id = r.project_id
    WHERE r.pool = $2 AND r.status = 'queued' AND r.deleted_at IS NULL AND r.queued_at <= now()
      AND EXISTS (SELECT 1 FROM workers w WHERE w.id = $1 AND w.status NOT IN ('cordoned', 'draining', 'unhealthy', 'gone'))
    ORDER BY r.priority DESC, coalesce(b.running, 0), r.queued_at, r.id
    LIMIT 1
    FOR NO KEY UPDATE OF r SKIP LOCKED
  ), run AS (
    UPDATE runs r SET status = 'running', state = 'provisioning', attempt = r.attempt + 1, started_at = coalesce(r.started_at, now()),
      state_reason = jsonb_build_object('code', 'provisioning', 'message', 'A worker has taken the run and fetches what it needs.',
        'since', extract(epoch FROM now())::int)
    FROM picked WHERE r.id = picked.id
    RETURNING r.id, r.attempt, r.submission, r.pool, r.project_id, r.status, r.state, r.state_reason
  ), attempt AS (
    INSERT INTO attempts (run_id, attempt, project_id, worker_id, status, lease_expires_at)
    SELECT id, attempt, project_id, $1, 'claimed', now() + $3 * interval '1 millisecond' FROM run
  )
  SELECT id, attempt, submission, pool, status, state, state_reason FROM run`;

/**
 * Takes the best queued run of a pool for a worker, in one statement; null when there is none. The attempt number in the token is
 * what every later write of this attempt is checked against. A run that cannot be executed (a file of it is gone) ends `failed` here and
 * the next one is taken: nobody else would end it before its lease runs out.
 */
export async function claimRun(
  s: Services,
  options: { workerId: string; pool: string; leaseMs?: number },
): Promise<Claim | null> {
  const { workerId, pool, leaseMs = LEASE_MS } = options;
  const { rows } = await s.pg.query<ClaimedRow>(CLAIM, [workerId, pool, leaseMs]);
  const row = rows[0];
  if (!row) return null;
  const token = { runId: row.id, attempt: row.attempt, workerId };
  let job: Job;
  try {
    job = await loadJob(s, token);
  } catch (error) {
    const isGone = error instanceof AppError;
    const failure = { cause: isGone ? 'user_data' : 'internal', code: isGone ? error.code : 'internal' } as const;
    const failing = failAttempt(s, token, { ...failure, message: explain(error) });
    if (!isGone) await failing.catch(() => undefined);
    else if (await failing) return claimRun(s, options);
    throw error;
  }
  await Promise.all([withdrawOffer(s, row), notify(s, row.id, [statusMessage(row)], row.attempt)]);
  return { token, job };
}
