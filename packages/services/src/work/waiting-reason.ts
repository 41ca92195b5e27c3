import type { StateReason } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import type { TaskModel } from '../ground/generated/models.js';
import { prepared } from '../ground/prepared.js';
import { toSeconds } from '../ground/time.js';
import { tasksAhead } from './places.js';

/** A worker that was silent for longer than this is not counted on. */
const HEARTBEAT_S = 20;

interface PoolRow {
  pool: string;
  busy: number;
  free: number;
  cordoned: number;
  unhealthy: number;
  unhealthy_reason: string | null;
}

/**
 * Of a queued task: since when it has waited. Its place in the queue (`queued_at`) may be an older one that it has kept: a run that is promoted, or goes on after an attempt was lost, waits since then.
 */
export const WAITING_SINCE = `greatest(queued_at, to_timestamp((state_reason ->> 'since')::float8))`;

/** The same in seconds, of a row that was read. */
export const waitingSince = ({ queuedAt, stateReason }: Pick<TaskModel, 'queuedAt' | 'stateReason'>): number =>
  Math.max(toSeconds(queuedAt), (stateReason as StateReason | null)?.since ?? 0);

type Waiting = Pick<TaskModel, 'id' | 'pool' | 'priority' | 'status' | 'attempt' | 'stateReason' | 'queuedAt'> & {
  /** How far its attempts came ("step 20"). */
  reached: string;
};

const POOLS = `
  SELECT pool,
    count(*) FILTER (WHERE status = 'busy')::int AS busy,
    count(*) FILTER (WHERE status IN ('draining', 'cordoned'))::int AS cordoned,
    count(*) FILTER (WHERE status = 'ready')::int AS free,
    count(*) FILTER (WHERE status = 'unhealthy')::int AS unhealthy,
    max(status_reason) FILTER (WHERE status = 'unhealthy') AS unhealthy_reason
  FROM workers WHERE pool = ANY($1) AND heartbeat_at > now() - $2 * interval '1 second' GROUP BY pool`;

/** How a queued task waits. */
interface Wait {
  /** Tasks before it in its pool. */
  ahead: number;
  reason: StateReason;
}

/** Why each queued task waits. */
export async function waitingReasons(s: Services, tasks: readonly Waiting[]): Promise<Map<string, StateReason>> {
  const waits = await explainWaiting(s, tasks);
  return new Map([...waits].map(([id, { reason }]) => [id, reason]));
}

/** Where each queued task stands and why it waits, worked out when it is read: workers and the tasks ahead change without the task's row changing. */
export async function explainWaiting(s: Services, tasks: readonly Waiting[]): Promise<Map<string, Wait>> {
  const queued = tasks.filter((task) => task.status === 'queued');
  if (queued.length === 0) return new Map();
  const names = [...new Set(queued.map((task) => task.pool))];
  const [pools, places] = await Promise.all([
    s.pg.query<PoolRow>(prepared(POOLS, [names, HEARTBEAT_S])),
    tasksAhead(s, queued),
  ]);
  return new Map(
    queued.map((task) => {
      const pool = pools.rows.find((row) => row.pool === task.pool);
      const ahead = places.get(task.id) ?? 0;
      return [task.id, { ahead, reason: { ...explain(task, pool, ahead), since: waitingSince(task) } }];
    }),
  );
}

function explain(task: Waiting, pool: PoolRow | undefined, ahead: number): Omit<StateReason, 'since'> {
  const earlier = task.stateReason as StateReason | null;
  const resuming = task.attempt > 0 ? ` It goes on after attempt ${task.attempt}, which reached ${task.reached}.` : '';
  const workers = (pool?.busy ?? 0) + (pool?.free ?? 0) + (pool?.cordoned ?? 0);
  if (workers === 0 && pool && pool.unhealthy > 0) {
    return {
      code: 'unhealthy_worker',
      message: `${count(pool.unhealthy, 'worker')} of pool '${task.pool}' cannot train: ${pool.unhealthy_reason ?? 'no reason given'}${resuming}`,
    };
  }
  if (workers === 0) {
    const start = task.pool === 'default' ? 'npm start' : `MORAINE_POOL=${task.pool} npm start`;
    return { code: 'no_worker', message: `No worker of pool '${task.pool}' is alive. Start one: ${start}.${resuming}` };
  }
  if (task.attempt > 0 && task.queuedAt > new Date() && earlier)
    return { code: earlier.code, message: earlier.message };
  const queue = ahead === 0 ? 'it is next' : `${count(ahead, 'task')} ${ahead === 1 ? 'is' : 'are'} ahead`;
  if (pool && pool.free + pool.busy === 0) {
    const message = `${count(pool.cordoned, 'worker')} of pool '${task.pool}' ${pool.cordoned === 1 ? 'takes' : 'take'} nothing new (cordoned or draining); ${queue}.${resuming}`;
    return { code: 'no_free_worker', message };
  }
  if (pool && pool.free === 0) {
    return {
      code: 'no_free_worker',
      message: `${count(pool.busy, 'worker')} of pool '${task.pool}' ${pool.busy === 1 ? 'is' : 'are'} busy; ${queue}.${resuming}`,
    };
  }
  if (task.attempt > 0)
    return {
      code: 'resuming',
      message: `A free worker of pool '${task.pool}' is about to take it; ${queue}.${resuming}`,
    };
  return { code: 'waiting', message: `A free worker of pool '${task.pool}' is about to take it; ${queue}.` };
}

const count = (n: number, noun: string): string => `${n} ${noun}${n === 1 ? '' : 's'}`;
