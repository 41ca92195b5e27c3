import type { Services } from '../ground/context.js';
import { type Offer, offerRun, wakeUpId } from '../work/offer-run.js';

const PAGE = 500;

/**
 * Queued runs that have no wake-up in Redis get one: the process died between the commit and the queue, or Redis was wiped.
 * Rejects when Redis is away.
 */
export async function offerForgotten(s: Services): Promise<number> {
  const { rows } = await s.pg.query<Offer>(
    `SELECT id, pool, submission, priority FROM runs
     WHERE status = 'queued' AND deleted_at IS NULL AND queued_at <= now() - interval '500 milliseconds'
     ORDER BY priority DESC, queued_at LIMIT $1`,
    [PAGE],
  );
  if (rows.length === 0) return 0;
  const asking = s.redis.pipeline();
  for (const row of rows) asking.exists(s.queues.of(row.pool).toKey(wakeUpId(row)));
  const answers = (await asking.exec()) ?? [];
  let offered = 0;
  for (const [index, row] of rows.entries()) {
    const [error, exists] = answers[index] ?? [new Error('no answer'), 0];
    if (error) throw error;
    if (exists === 0 && (await offerRun(s, row))) offered++;
  }
  if (offered > 0) s.log.warn({ runs: offered }, 'queued runs without a wake-up were offered again');
  return offered;
}
