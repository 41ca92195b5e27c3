import type { StateReason } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import type { TaskModel } from '../ground/generated/models.js';
import { toSeconds } from '../ground/time.js';
import { type PoolWorkers, placesOf } from './places.js';

/**
 * Of a queued task: since when it has waited. Its place in the queue (`queued_at`) may be an older one that it has kept: a run that is promoted, or goes on after an attempt was lost, waits since then.
 */
export const WAITING_SINCE = `greatest(queued_at, to_timestamp((state_reason ->> 'since')::float8))`;

/** The same in seconds, of a row that was read. */
export const waitingSince = ({ queuedAt, stateReason }: Pick<Waiting, 'queuedAt' | 'stateReason'>): number =>
  Math.max(toSeconds(queuedAt), (stateReason as StateReason | null)?.since ?? 0);

/** What of a task says why it waits. */
export type Waiting = Pick<TaskModel, 'id' | 'pool' | 'priority' | 'status' | 'attempt' | 'queuedAt'> & {
  stateReason: unknown;
  /** How far its attempts came ("step 20"). */
  reached: string;
};

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
  const places = await placesOf(s, queued);
  return new Map(
    queued.flatMap((task) => {
      const place = places.get(task.id);
      if (!place) return [];
      const { ahead, workers } = place;
      return [[task.id, { ahead, reason: { ...explain(task, workers, ahead), since: waitingSince(task) } }]];
    }),
  );
}

function explain(task: Waiting, pool: PoolWorkers, ahead: number): Omit<StateReason, 'since'> {
  const earlier = task.stateReason as StateReason | null;
  const resuming = task.attempt > 0 ? ` It goes on after attempt ${task.attempt}, which reached ${task.reached}.` : '';
  const workers = pool.busy + pool.free + pool.cordoned;
  if (workers === 0 && pool.unhealthy > 0) {
    return {
      code: 'unhealthy_worker',
      message: `${count(pool.unhealthy, 'worker')} of pool '${task.pool}' cannot train: ${pool.unhealthyReason ?? 'no reason given'}${resuming}`,
    };
  }
  if (workers === 0) {
    const start = task.pool === 'default' ? 'npm start' : `MORAINE_POOL=${task.pool} npm start`;
    return { code: 'no_worker', message: `No worker of pool '${task.pool}' is alive. Start one: ${start}.${resuming}` };
  }
  if (task.attempt > 0 && task.queuedAt > new Date() && earlier)
    return { code: earlier.code, message: earlier.message };
  const queue = ahead === 0 ? 'it is next' : `${count(ahead, 'task')} ${ahead === 1 ? 'is' : 'are'} ahead`;
  if (pool.free + pool.busy === 0) {
    const message = `${count(pool.cordoned, 'worker')} of pool '${task.pool}' ${pool.cordoned === 1 ? 'takes' : 'take'} nothing new (cordoned or draining); ${queue}.${resuming}`;
    return { code: 'no_free_worker', message };
  }
  if (pool.free === 0) {
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
