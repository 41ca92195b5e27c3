import type { Services } from '../ground/context.js';
import { prepared } from '../ground/prepared.js';

/** A queued task, by what orders it. */
export interface Queued {
  id: string;
  pool: string;
  priority: number;
  queuedAt: Date;
}

/** The workers of a pool that have given a sign of life of late, by what they can take. */
export interface PoolWorkers {
  busy: number;
  free: number;
  cordoned: number;
  unhealthy: number;
  unhealthyReason: string | null;
}

/** A pool as it was a moment ago: the order of its queue in three columns of one length, and who works there. */
interface Order {
  ids: string[];
  priorities: number[];
  queuedAt: number[];
  workers: PoolWorkers;
  /** When its reading began, and until when it serves. */
  began: number;
  until: number;
}

/** Reading an order costs some 2 µs a task, so at most a fiftieth of the time goes into it: 100 queued 10 ms, 20,000 queued 2 s. */
const LIFE_MS_PER_TASK = 0.1;
const LIFE_MS_MAX = 10_000;
const POOLS_MAX = 1_000;

const NOBODY: PoolWorkers = { busy: 0, free: 0, cordoned: 0, unhealthy: 0, unhealthyReason: null };

const orders = new WeakMap<Services, Map<string, Promise<Order>>>();

/** Where a queued task stands. */
export interface Place {
  /** Tasks before it in its pool, by priority and then age. */
  ahead: number;
  workers: PoolWorkers;
}

/**
 * The place of each task in its pool. The order of a pool is read once for all who ask within its short life and not numbered anew for
 * each, its workers with it; a task that came since has its place among those that were there.
 */
export async function placesOf(
  s: Services,
  tasks: readonly Queued[],
  lifeMsPerTask = LIFE_MS_PER_TASK,
): Promise<Map<string, Place>> {
  const places = new Map<string, Place>();
  for (const pool of new Set(tasks.map((task) => task.pool))) {
    const order = await orderOf(s, pool, lifeMsPerTask);
    for (const task of tasks)
      if (task.pool === pool) places.set(task.id, { ahead: placeIn(order, task), workers: order.workers });
  }
  return places;
}

async function orderOf(s: Services, pool: string, lifeMsPerTask: number): Promise<Order> {
  const asked = performance.now();
  const known = orders.get(s) ?? new Map<string, Promise<Order>>();
  orders.set(s, known);
  // Of many who ask at once one reads, and the others take what it read after they asked.
  for (let before = known.get(pool); before; before = known.get(pool)) {
    const order = await before;
    if (order.until > asked || order.began > asked) return order;
    if (known.get(pool) === before) break;
  }
  if (known.size >= POOLS_MAX) known.clear();
  const reading = readOrder(s, pool, lifeMsPerTask);
  known.set(pool, reading);
  reading.catch(() => known.get(pool) === reading && known.delete(pool));
  return reading;
}

/** A worker that was silent for longer than this is not counted on. */
const HEARTBEAT_S = 20;

const ORDER = `
  SELECT string_agg(id, ',') AS ids, string_agg(priority::text, ',') AS priorities,
    string_agg((extract(epoch FROM queued_at) * 1000)::bigint::text, ',') AS queued_at,
    (SELECT json_build_object(
       'busy', count(*) FILTER (WHERE status = 'busy'),
       'free', count(*) FILTER (WHERE status = 'ready'),
       'cordoned', count(*) FILTER (WHERE status IN ('draining', 'cordoned')),
       'unhealthy', count(*) FILTER (WHERE status = 'unhealthy'),
       'unhealthyReason', max(status_reason) FILTER (WHERE status = 'unhealthy'))
     FROM workers WHERE pool = $1 AND heartbeat_at > now() - $2 * interval '1 second') AS workers
  FROM (SELECT id, priority, queued_at FROM tasks WHERE pool = $1 AND status = 'queued' AND deleted_at IS NULL
    ORDER BY priority DESC, queued_at, id) waiting`;

type OrderRow = Record<'ids' | 'priorities' | 'queued_at', string | null> & { workers: PoolWorkers };

async function readOrder(s: Services, pool: string, lifeMsPerTask: number): Promise<Order> {
  const began = performance.now();
  const { rows } = await s.pg.query<OrderRow>(prepared(ORDER, [pool, HEARTBEAT_S]));
  const columnOf = (name: 'ids' | 'priorities' | 'queued_at'): string[] => rows[0]?.[name]?.split(',') ?? [];
  const ids = columnOf('ids');
  return {
    ids,
    priorities: columnOf('priorities').map(Number),
    queuedAt: columnOf('queued_at').map(Number),
    workers: rows[0]?.workers ?? NOBODY,
    began,
    until: began + Math.min(LIFE_MS_MAX, ids.length * lifeMsPerTask),
  };
}

/** The place of a task in an order, or where it would be. */
function placeIn(order: Order, { id, priority, queuedAt }: Queued): number {
  const at = queuedAt.getTime();
  /** Below 0: the one at `index` comes before the task; 0: both came in the same millisecond. */
  const compare = (index: number): number =>
    priority - (order.priorities[index] ?? 0) || (order.queuedAt[index] ?? 0) - at;
  let [low, high] = [0, order.ids.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (compare(middle) < 0) low = middle + 1;
    else high = middle;
  }
  while (low < order.ids.length && compare(low) === 0 && order.ids[low] !== id) low++;
  return low;
}
