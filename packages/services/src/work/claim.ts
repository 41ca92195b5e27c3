import type { StateReason } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify, statusMessage } from '../ground/publish.js';
import { withdrawOffer } from './offer-run.js';
import { statusesBefore } from './transition.js';

/** How long an attempt may stay silent before somebody else may take its run, by the database's clock. */
export const LEASE_MS = 20_000;

export interface ClaimOptions {
  workerId: string;
  pool: string;
  leaseMs?: number;
}

export interface ClaimedRun {
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
    WHERE r.pool = $2 AND r.status = ANY($4) AND r.deleted_at IS NULL AND r.queued_at <= now()
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
 * what every later write of this attempt is checked against.
 */
export async function claim(
  s: Services,
  { workerId, pool, leaseMs = LEASE_MS }: ClaimOptions,
): Promise<{ run: ClaimedRun; token: AttemptToken } | null> {
  const { rows } = await s.pg.query<ClaimedRun>(CLAIM, [workerId, pool, leaseMs, statusesBefore('running')]);
  const run = rows[0];
  return run ? { run, token: { runId: run.id, attempt: run.attempt, workerId } } : null;
}

/** Says that a claimed run is on a worker, and takes its wake-up out of the queue. */
export async function announceClaim(s: Services, run: ClaimedRun): Promise<void> {
  await Promise.all([withdrawOffer(s, run), notify(s, run.id, [statusMessage(run)], run.attempt)]);
}
