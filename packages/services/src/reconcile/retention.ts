import type { Services } from '../ground/context.js';
import { IS_FINITE, ROLLUP_STEPS } from '../training/rewind.js';

/** For how many days after its end a task's history is kept; null: for ever. */
export interface Retention {
  logsDays: number | null;
  eventsDays: number | null;
  /** Single points of long curves; their roll-ups stay. */
  pointsDays: number | null;
}

export const KEEP_ALL: Retention = { logsDays: null, eventsDays: null, pointsDays: null };

const PAGE = 5_000;
/** What a round spends on it; the next one goes on. */
const BUDGET_MS = 5_000;
/** Series that one statement looks at. */
const SERIES = 50;
/** A series of no more points keeps them: so many are drawn one by one. */
const FEW_POINTS = 1_000;

/** Log lines, events and points of tasks that ended longer ago than they are kept are removed, a page at a time. Returns how many went. */
export async function applyRetention(
  s: Services,
  { logsDays, eventsDays, pointsDays }: Retention,
  budgetMs = BUDGET_MS,
): Promise<{ logs: number; events: number; points: number }> {
  const until = performance.now() + budgetMs;
  const gone = {
    logs: logsDays === null ? 0 : await removeOld(s, 'log_lines', logsDays, until),
    events: eventsDays === null ? 0 : await removeOld(s, 'events', eventsDays, until),
    points: pointsDays === null ? 0 : await removePoints(s, pointsDays, until),
  };
  if (gone.logs + gone.events + gone.points > 0) s.log.info(gone, 'history of old runs was removed');
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
    isMore = rowCount === PAGE && performance.now() < until;
  }
  return removed;
}

/**
 * A series loses its points and gets its mark in one statement, so that a reader sees one or the other. What stays of it: the first and the
 * last roll-up's points, which verdicts on a loss read; the first value of a roll-up that is no number; the whole validation loss, whose
 * best step has a name. A run that is being verified keeps all. Ended runs never get a point more.
 */
const ROLL_UP = `
  WITH old AS MATERIALIZED (
    SELECT m.id, (SELECT count(*) FROM (SELECT 1 FROM metric_points p WHERE p.series_id = m.id LIMIT ${FEW_POINTS + 1}) few) > ${FEW_POINTS}
        AND m.name <> 'valid_loss' AS is_long,
      coalesce((SELECT min(bucket) FROM metric_rollups r WHERE r.series_id = m.id), -1) AS first,
      coalesce((SELECT max(bucket) FROM metric_rollups r WHERE r.series_id = m.id), -1) AS last
    FROM metric_series m JOIN tasks t ON t.id = m.run_id
    WHERE m.rolled_up IS NULL AND t.finished_at < now() - $1 * interval '1 day' AND NOT EXISTS (
      SELECT 1 FROM verifications v JOIN tasks vt ON vt.id = v.id WHERE v.run_id = m.run_id AND vt.finished_at IS NULL)
    LIMIT ${SERIES}
  ), gone AS (
    DELETE FROM metric_points p USING old
    WHERE p.series_id = old.id AND old.is_long AND p.step / ${ROLLUP_STEPS} NOT IN (old.first, old.last)
      AND (p.${IS_FINITE} OR EXISTS (
        SELECT 1 FROM metric_points e WHERE e.series_id = p.series_id AND e.value = ANY ('{NaN,Infinity,-Infinity}'::float8[])
          AND e.step < p.step AND e.step >= p.step / ${ROLLUP_STEPS} * ${ROLLUP_STEPS}))
    RETURNING 1
  ), marked AS (
    UPDATE metric_series m SET rolled_up = old.is_long FROM old WHERE m.id = old.id RETURNING 1
  )
  SELECT (SELECT count(*)::int FROM gone) AS points, (SELECT count(*)::int FROM marked) AS series`;

async function removePoints(s: Services, days: number, until: number): Promise<number> {
  let removed = 0;
  for (let isMore = true; isMore; ) {
    const { rows } = await s.pg.query<{ points: number; series: number }>(ROLL_UP, [days]);
    removed += rows[0]?.points ?? 0;
    isMore = rows[0]?.series === SERIES && performance.now() < until;
  }
  return removed;
}
