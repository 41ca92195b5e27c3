import type { Services } from '../ground/context.js';

/** For how many days after its end a task's history is kept; null: for ever. */
export interface Retention {
  logsDays: number | null;
  eventsDays: number | null;
}

export const KEEP_ALL: Retention = { logsDays: null, eventsDays: null };

const PAGE = 5_000;
/** What a round spends on it; the next one goes on. */
const BUDGET_MS = 5_000;

/** Log lines and events of tasks that ended longer ago than they are kept are removed, a page at a time. Returns how many went. */
export async function applyRetention(
  s: Services,
  { logsDays, eventsDays }: Retention,
  budgetMs = BUDGET_MS,
): Promise<{ logs: number; events: number }> {
  const until = Date.now() + budgetMs;
  const gone = {
    logs: logsDays === null ? 0 : await removeOld(s, 'log_lines', logsDays, until),
    events: eventsDays === null ? 0 : await removeOld(s, 'events', eventsDays, until),
  };
  if (gone.logs + gone.events > 0) s.log.info(gone, 'history of old runs was removed');
  return gone;
}

async function removeOld(s: Services, table: 'log_lines' | 'events', days: number, until: number): Promise<number> {
  let removed = 0;
  for (let isMore = true; isMore; ) {
    const { rowCount } = await s.pg.query(
      `DELETE FROM ${table} WHERE (task_id, seq) IN (
         SELECT o.task_id, o.seq FROM tasks t JOIN ${table} o ON o.task_id = t.id
         WHERE t.finished_at < now() - $1 * interval '1 day' LIMIT ${PAGE})`,
      [days],
    );
    removed += rowCount ?? 0;
    isMore = rowCount === PAGE && Date.now() < until;
  }
  return removed;
}
