import type { StateReason } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify, statusMessage } from '../ground/publish.js';
import { withdrawOffer } from './offer-task.js';
import { statusesBefore } from './transition.js';

/** How long an attempt may stay silent before somebody else may take its task, by the database's clock. */
export const LEASE_MS = 20_000;

export interface ClaimOptions {
  workerId: string;
  pool: string;
  /** Kinds of tasks that the worker can execute. */
  kinds: readonly string[];
  leaseMs?: number;
}

export interface ClaimedTask {
  id: string;
  kind: string;
  attempt: number;
  submission: number;
  pool: string;
  status: string;
  state: string;
  state_reason: StateReason;
}

/** Priority class first, then the project with the fewest tasks on workers, then age. Rows that another worker is taking are passed over. */
const CLAIM = `
  WITH busy AS (
    SELECT project_id, count(*) AS running FROM tasks WHERE status = 'running' GROUP BY project_id
  ), picked AS (
    SELECT t.id FROM tasks t LEFT JOIN busy b ON b.project_id = t.project_id
    WHERE t.pool = $2 AND t.kind = ANY($5) AND t.status = ANY($4) AND t.deleted_at IS NULL AND t.queued_at <= now()
      AND EXISTS (SELECT 1 FROM workers w WHERE w.id = $1 AND w.status NOT IN ('cordoned', 'draining', 'unhealthy', 'gone'))
    ORDER BY t.priority DESC, coalesce(b.running, 0), t.queued_at, t.id
    LIMIT 1
    FOR NO KEY UPDATE OF t SKIP LOCKED
  ), task AS (
    UPDATE tasks t SET status = 'running', state = 'provisioning', attempt = t.attempt + 1, started_at = coalesce(t.started_at, now()),
      state_reason = jsonb_build_object('code', 'provisioning', 'message', 'A worker has taken the run and fetches what it needs.',
        'since', extract(epoch FROM now())::int)
    FROM picked WHERE t.id = picked.id
    RETURNING t.id, t.attempt, t.submission, t.kind, t.pool, t.project_id, t.status, t.state, t.state_reason
  ), attempt AS (
    INSERT INTO attempts (task_id, attempt, project_id, worker_id, status, lease_expires_at)
    SELECT id, attempt, project_id, $1, 'claimed', now() + $3 * interval '1 millisecond' FROM task
  )
  SELECT id, kind, attempt, submission, pool, status, state, state_reason FROM task`;

/**
 * Takes the best queued task of a pool for a worker, in one statement; null when there is none. The attempt number in the token is
 * what every later write of this attempt is checked against.
 */
export async function claim(
  s: Services,
  { workerId, pool, kinds, leaseMs = LEASE_MS }: ClaimOptions,
): Promise<{ task: ClaimedTask; token: AttemptToken } | null> {
  const { rows } = await s.pg.query<ClaimedTask>(CLAIM, [workerId, pool, leaseMs, statusesBefore('running'), kinds]);
  const task = rows[0];
  return task ? { task, token: { taskId: task.id, attempt: task.attempt, workerId } } : null;
}

/** Says that a claimed task is on a worker, and takes its wake-up out of the queue. */
export async function announceClaim(s: Services, task: ClaimedTask): Promise<void> {
  await Promise.all([withdrawOffer(s, task), notify(s, task.id, [statusMessage(task)], task.attempt)]);
}
