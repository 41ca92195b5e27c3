import type { Services } from '../ground/context.js';
import { type Offer, offerTasks, wakeUpId } from '../work/offer-task.js';

const PAGE = 500;
/** What a round spends on the backlog; the next one goes on where it stopped. */
const BUDGET_MS = 1_000;
/** Wake-ups that a pool's free workers need at most at a time. */
const FREE_MAX = 100;

/** The part of the backlog that rounds have looked at. */
export interface Sweep {
  /** The last task of it; empty at the beginning. */
  after: string;
}

const FORGOTTEN = `t.status = 'queued' AND t.deleted_at IS NULL AND t.queued_at <= now() - interval '500 milliseconds'`;

/**
 * Queued tasks that have no wake-up in Redis get one: the process died between the commit and the queue, or Redis was wiped. First those
 * that free workers would take next, in every pool that has some, then page by page the others, whatever their pool; what a round has
 * no time for the next one looks at. Rejects when Redis is away.
 */
export async function offerForgotten(s: Services, sweep: Sweep = { after: '' }, budgetMs = BUDGET_MS): Promise<number> {
  const until = performance.now() + budgetMs;
  let offered = await offerMissing(s, await awaited(s));
  do {
    const { rows } = await s.pg.query<Offer>(
      // `id > ''` is what the index of this sweep is made for, and nothing else may use (migration queued_ids_for_the_sweep).
      `SELECT t.id, t.pool, t.submission, t.priority FROM tasks t
       WHERE ${FORGOTTEN} AND t.id > '' AND t.id > $2 ORDER BY t.id LIMIT $1`,
      [PAGE, sweep.after],
    );
    offered += await offerMissing(s, rows);
    sweep.after = rows.length === PAGE ? (rows.at(-1)?.id ?? '') : '';
  } while (sweep.after !== '' && performance.now() < until);
  if (offered > 0) s.log.warn({ tasks: offered }, 'queued tasks without a wake-up were offered again');
  return offered;
}

/** The tasks that come next in pools where workers are free, one for each worker. */
async function awaited(s: Services): Promise<Offer[]> {
  const { rows } = await s.pg.query<Offer>(
    `SELECT next.* FROM (SELECT pool, count(*) AS free FROM workers WHERE status = 'ready' GROUP BY pool) w
     CROSS JOIN LATERAL (
       SELECT t.id, t.pool, t.submission, t.priority FROM tasks t WHERE t.pool = w.pool AND ${FORGOTTEN}
       ORDER BY t.priority DESC, t.queued_at, t.id LIMIT least(w.free, ${FREE_MAX})
     ) next`,
  );
  return rows;
}

async function offerMissing(s: Services, offers: readonly Offer[]): Promise<number> {
  if (offers.length === 0) return 0;
  const asking = s.redis.pipeline();
  for (const offer of offers) asking.exists(s.queues.of(offer.pool).toKey(wakeUpId(offer)));
  const answers = (await asking.exec()) ?? [];
  const missing = new Map<string, Offer[]>();
  for (const [index, offer] of offers.entries()) {
    const [error, exists] = answers[index] ?? [new Error('no answer'), 0];
    if (error) throw error;
    if (exists === 0) missing.set(offer.pool, [...(missing.get(offer.pool) ?? []), offer]);
  }
  for (const [pool, ofPool] of missing) await offerTasks(s, pool, ofPool);
  return [...missing.values()].flat().length;
}
