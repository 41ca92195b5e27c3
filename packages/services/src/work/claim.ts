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
  /** What the worker has free now; default: room for everything. */
  room?: Partial<Room>;
  /** The claim before failed, perhaps after it was made: a task that the worker holds and has not begun is its claim. Default false. */
  isAgain?: boolean;
}

/** Room of a worker, in bytes. */
export interface Room {
  disk: number;
  memory: number;
  /** All the memory that it may use. A task that needs more never fits; it is tried all the same, and may need less than was estimated. */
  memoryLimit: number;
}

const ENDLESS = Number.MAX_SAFE_INTEGER;

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

/** The rows that the index `tasks_by_turn` holds, as the planner must see it; the transition table says the status. */
const QUEUED = `t.status IN (${statusesBefore('running')
  .map((status) => `'${status}'`)
  .join()}) AND t.deleted_at IS NULL`;

/**
 * Whether a task fits the room $5 to $7. Nearly all do, which the planner takes a test for NULL to mean; of comparisons it would expect
 * few, and rather sort the whole queue.
 */
const FITS = 'nullif(t.disk_bytes <= $5 AND (t.memory_bytes <= $6 OR t.memory_bytes > $7), false) IS NOT NULL';

/**
 * The tasks of pool $2 that worker $1 may take now: $5 to $7 are its room. Stored times are rounded to milliseconds, so one of this moment may lie
 * half a one ahead.
 */
const CLAIMABLE = `t.pool = $2 AND ${QUEUED} AND t.queued_at <= now() + interval '1 millisecond' AND t.kind = ANY($4)
  AND ${FITS}`;

/**
 * Priority class first, then the project with the fewest tasks on workers, then age. Rows that another worker is taking are passed over.
 *
 * The queue is never read as a whole. `classes` and `projects` jump along the index from one value to the next ("priority below 50",
 * "project after p7"); the oldest task of each project is the first row of its stretch. A class is looked at only when those above it
 * gave nothing, because the rows of a join with LATERAL are made one by one and the LIMIT stops at the first.
 */
export const CLAIM = `
  WITH RECURSIVE busy AS MATERIALIZED (
    SELECT project_id, count(*) AS running FROM tasks WHERE status = 'running' GROUP BY project_id
  ), classes AS (
    SELECT (SELECT max(t.priority) FROM tasks t WHERE t.pool = $2 AND ${QUEUED}) AS priority
    UNION ALL
    SELECT (SELECT max(t.priority) FROM tasks t WHERE t.pool = $2 AND ${QUEUED} AND t.priority < c.priority) FROM classes c
    WHERE c.priority IS NOT NULL
  ), picked AS (
    SELECT taken.id FROM classes c
    CROSS JOIN LATERAL (
      WITH RECURSIVE projects AS (
        SELECT (SELECT min(t.project_id) FROM tasks t WHERE t.pool = $2 AND ${QUEUED} AND t.priority = c.priority) AS id
        UNION ALL
        SELECT (SELECT min(t.project_id) FROM tasks t WHERE t.pool = $2 AND ${QUEUED} AND t.priority = c.priority AND t.project_id > p.id)
        FROM projects p WHERE p.id IS NOT NULL
      )
      SELECT p.id FROM projects p
      CROSS JOIN LATERAL (
        SELECT t.queued_at, t.id FROM tasks t WHERE t.priority = c.priority AND t.project_id = p.id AND ${CLAIMABLE}
        ORDER BY t.queued_at, t.id LIMIT 1
      ) oldest
      LEFT JOIN busy b ON b.project_id = p.id
      ORDER BY coalesce(b.running, 0), oldest.queued_at, oldest.id
    ) project
    CROSS JOIN LATERAL (
      SELECT t.id FROM tasks t WHERE t.priority = c.priority AND t.project_id = project.id AND ${CLAIMABLE}
      ORDER BY t.queued_at, t.id LIMIT 1
      FOR NO KEY UPDATE OF t SKIP LOCKED
    ) taken
    WHERE EXISTS (SELECT 1 FROM workers w WHERE w.id = $1 AND w.asked IS NULL AND w.status NOT IN ('cordoned', 'draining', 'unhealthy', 'gone'))
    LIMIT 1
  ), task AS (
    UPDATE tasks t SET status = 'running', state = 'provisioning', attempt = t.attempt + 1, started_at = coalesce(t.started_at, now()),
      state_reason = jsonb_build_object('code', 'provisioning', 'message', 'A worker has taken it and fetches what it needs.',
        'since', extract(epoch FROM now())::int)
    FROM picked WHERE t.id = picked.id
    RETURNING t.id, t.attempt, t.submission, t.kind, t.pool, t.project_id, t.status, t.state, t.state_reason
  ), attempt AS (
    INSERT INTO attempts (task_id, attempt, project_id, worker_id, status, lease_expires_at)
    SELECT id, attempt, project_id, $1, 'claimed', now() + $3 * interval '1 millisecond' FROM task
  )
  SELECT id, kind, attempt, submission, pool, status, state, state_reason FROM task`;

/** A worker has one task at a time: what it holds and has not begun, it does not know of. */
const HELD = `
  UPDATE attempts a SET lease_expires_at = now() + $2 * interval '1 millisecond' FROM tasks t
  WHERE a.worker_id = $1 AND a.status = 'claimed' AND t.id = a.task_id AND t.attempt = a.attempt AND t.status = 'running'
  RETURNING t.id, t.kind, t.attempt, t.submission, t.pool, t.status, t.state, t.state_reason`;

/**
 * Takes the best queued task of a pool for a worker, in one statement; null when there is none. The attempt number in the token is
 * what every later write of this attempt is checked against.
 */
export async function claim(
  s: Services,
  { workerId, pool, kinds, leaseMs = LEASE_MS, room = {}, isAgain = false }: ClaimOptions,
): Promise<{ task: ClaimedTask; token: AttemptToken } | null> {
  const { disk = ENDLESS, memory = ENDLESS, memoryLimit = ENDLESS } = room;
  const values = [workerId, pool, leaseMs, kinds, Math.floor(disk), Math.floor(memory), Math.floor(memoryLimit)];
  const held = isAgain ? (await s.pg.query<ClaimedTask>(HELD, [workerId, leaseMs])).rows[0] : undefined;
  const task = held ?? (await s.pg.query<ClaimedTask>(CLAIM, values)).rows[0];
  return task ? { task, token: { taskId: task.id, attempt: task.attempt, workerId } } : null;
}

/** Says that a claimed task is on a worker, and takes its wake-up out of the queue. */
export async function announceClaim(s: Services, task: ClaimedTask): Promise<void> {
  await Promise.all([withdrawOffer(s, task), notify(s, task.id, [statusMessage(task)], task.attempt)]);
}
