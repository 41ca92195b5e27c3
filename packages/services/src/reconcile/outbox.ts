import type { Services } from '../ground/context.js';
import { type Offer, offerTask, wakeUpId } from '../work/offer-task.js';

const PAGE = 500;

/**
 * Queued tasks that have no wake-up in Redis get one: the process died between the commit and the queue, or Redis was wiped.
 * Looks at all of them, a page at a time. Rejects when Redis is away.
 */
export async function offerForgotten(s: Services): Promise<number> {
  let offered = 0;
  for (let after = '', more = true; more; ) {
    const { rows } = await s.pg.query<Offer>(
      `SELECT id, pool, submission, priority FROM tasks
       WHERE status = 'queued' AND deleted_at IS NULL AND queued_at <= now() - interval '500 milliseconds' AND id > $2
       ORDER BY id LIMIT $1`,
      [PAGE, after],
    );
    offered += await offerMissing(s, rows);
    more = rows.length === PAGE;
    after = rows.at(-1)?.id ?? after;
  }
  if (offered > 0) s.log.warn({ tasks: offered }, 'queued tasks without a wake-up were offered again');
  return offered;
}

async function offerMissing(s: Services, offers: readonly Offer[]): Promise<number> {
  if (offers.length === 0) return 0;
  const asking = s.redis.pipeline();
  for (const offer of offers) asking.exists(s.queues.of(offer.pool).toKey(wakeUpId(offer)));
  const answers = (await asking.exec()) ?? [];
  let offered = 0;
  for (const [index, offer] of offers.entries()) {
    const [error, exists] = answers[index] ?? [new Error('no answer'), 0];
    if (error) throw error;
    if (exists === 0 && (await offerTask(s, offer))) offered++;
  }
  return offered;
}
