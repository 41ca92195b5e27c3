import type { Services } from '../ground/context.js';

/** Runs, evaluations and analyses that are asked. */
const ASKED = 20;

/**
 * Seconds that a run takes beside its steps and the scoring of its files: until it is ready (its process, the loading of the base, the tracing), and from the last of its checkpoints and
 * evaluations to its end (what it exports). The middle of the latest runs of the pool on this base that one attempt did; null where there is none.
 */
export async function besideSeconds(s: Services, pool: string, baseId: string): Promise<number | null> {
  const { rows } = await s.pg.query<{ middle: number | null }>(
    `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY beside) AS middle FROM (
       SELECT extract(epoch FROM (ready.at - t.started_at) + (t.finished_at - last.at))::float8 AS beside
       FROM runs r JOIN tasks t ON t.id = r.id
       CROSS JOIN LATERAL (SELECT min(e.created_at) AS at FROM events e WHERE e.task_id = t.id AND e.data ? 'secondsToReady') ready
       CROSS JOIN LATERAL (SELECT max(of_run.at) AS at FROM (
         SELECT c.created_at AS at FROM checkpoints c WHERE c.run_id = r.id
         UNION ALL SELECT v.created_at FROM evaluations v WHERE v.run_id = r.id) of_run) last
       WHERE r.base_id = $1 AND t.pool = $2 AND t.status = 'succeeded' AND t.attempt = 1 AND t.deleted_at IS NULL
         AND ready.at IS NOT NULL AND last.at IS NOT NULL
       ORDER BY t.finished_at DESC LIMIT $3) latest`,
    [baseId, pool, ASKED],
  );
  return rows[0]?.middle ?? null;
}

/** Seconds that an evaluation takes, by a suite where one is named: the middle of the latest of the pool on this base; null where there is none. */
export const evaluationSeconds = (s: Services, pool: string, baseId: string, suite?: string): Promise<number | null> =>
  taskSeconds(s, 'evaluation_tasks', 'suite', [baseId, pool, ASKED, suite ?? null]);

/** The same of an analysis of a kind. */
export const analysisSeconds = (s: Services, pool: string, baseId: string, kind: string): Promise<number | null> =>
  taskSeconds(s, 'analysis_tasks', 'kind', [baseId, pool, ASKED, kind]);

async function taskSeconds(
  s: Services,
  table: 'evaluation_tasks' | 'analysis_tasks',
  column: 'suite' | 'kind',
  values: readonly [baseId: string, pool: string, most: number, like: string | null],
): Promise<number | null> {
  const { rows } = await s.pg.query<{ middle: number | null }>(
    `SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS middle FROM (
       SELECT extract(epoch FROM t.finished_at - t.started_at)::float8 AS took FROM ${table} e JOIN tasks t ON t.id = e.id
       WHERE e.base_id = $1 AND t.pool = $2 AND ($4::text IS NULL OR e.${column} = $4) AND t.status = 'succeeded' AND t.attempt = 1 AND t.deleted_at IS NULL
       ORDER BY t.finished_at DESC LIMIT $3) latest`,
    [...values],
  );
  return rows[0]?.middle ?? null;
}
