import type { Services } from '../ground/context.js';

/** A queued task, by what orders it. */
export interface Queued {
  id: string;
  pool: string;
  priority: number;
  queuedAt: Date;
}

/** The order of a pool's queue as it was a moment ago: three columns of one length. */
interface Order {
  ids: string[];
  priorities: number[];
  queuedAt: number[];
  /** When its reading began, and until when it serves. */
  began: number;
  until: number;
}

/** Reading an order costs some 2 µs a task, so at most a fiftieth of the time goes into it: 100 queued 10 ms, 20,000 queued 2 s. */
const LIFE_MS_PER_TASK = 0.1;
const LIFE_MS_MAX = 10_000;
const POOLS_MAX = 1_000;

const orders = new WeakMap<Services, Map<string, Promise<Order>>>();

/**
 * How many tasks are ahead of each in its pool, by priority and then age. The order of a pool is read once for all who ask within its short
 * life and not numbered anew for each; a task that came since has its place among those that were there.
 */
export async function tasksAhead(
  s: Services,
  tasks: readonly Queued[],
  lifeMsPerTask = LIFE_MS_PER_TASK,
): Promise<Map<string, number>> {
  const ahead = new Map<string, number>();
  for (const pool of new Set(tasks.map((task) => task.pool))) {
    const order = await orderOf(s, pool, lifeMsPerTask);
    for (const task of tasks) if (task.pool === pool) ahead.set(task.id, placeIn(order, task));
  }
  return ahead;
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

async function readOrder(s: Services, pool: string, lifeMsPerTask: number): Promise<Order> {
  const began = performance.now();
  const { rows } = await s.pg.query<Record<'ids' | 'priorities' | 'queued_at', string | null>>(
    `SELECT string_agg(id, ',') AS ids, string_agg(priority::text, ',') AS priorities,
       string_agg((extract(epoch FROM queued_at) * 1000)::bigint::text, ',') AS queued_at
     FROM (SELECT id, priority, queued_at FROM tasks WHERE pool = $1 AND status = 'queued' AND deleted_at IS NULL
       ORDER BY priority DESC, queued_at, id) waiting`,
    [pool],
  );
  const columnOf = (name: 'ids' | 'priorities' | 'queued_at'): string[] => rows[0]?.[name]?.split(',') ?? [];
  const ids = columnOf('ids');
  return {
    ids,
    priorities: columnOf('priorities').map(Number),
    queuedAt: columnOf('queued_at').map(Number),
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
