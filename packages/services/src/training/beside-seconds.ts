import type { Services } from '../ground/context.js';

/** Runs, evaluations and analyses that are asked. */
const ASKED = 20;

/**
 * Seconds that a run takes beside its steps, nearly all of them the start of its process, the loading of the base and the tracing: the least of the latest runs of the pool on this
 * base that one attempt did, for what more the others took was the scoring of their own files. Null where there is none.
 */
export async function besideSeconds(s: Services, pool: string, baseId: string): Promise<number | null> {
  const { rows } = await s.pg.query<{ least: number | null }>(
    `SELECT min(beside)::float8 AS least FROM (
       SELECT extract(epoch FROM t.finished_at - t.started_at) - ((r.pace->>'at')::float8 - (r.pace->>'firstAt')::float8) / 1000 AS beside
       FROM runs r JOIN tasks t ON t.id = r.id
       WHERE r.base_id = $1 AND t.pool = $2 AND t.status = 'succeeded' AND t.attempt = 1 AND t.deleted_at IS NULL AND r.pace IS NOT NULL
       ORDER BY t.finished_at DESC LIMIT $3) latest WHERE beside > 0`,
    [baseId, pool, ASKED],
  );
  return rows[0]?.least ?? null;
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
