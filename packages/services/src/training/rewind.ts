/** Steps in one roll-up row. */
export const ROLLUP_STEPS = 256;

/** Values that count: a point can be no number, and no sum, minimum or maximum of others then. */
export const IS_FINITE = `value <> ALL ('{NaN,Infinity,-Infinity}'::float8[])`;

/** How points become one roll-up row; grouped by series and bucket. */
export const ROLLUP_VALUES = `count(*)::int AS n, sum(value) AS sum, min(value) AS min, max(value) AS max,
  min(step) AS first_step, (array_agg(value ORDER BY step))[1] AS first,
  max(step) AS last_step, (array_agg(value ORDER BY step DESC))[1] AS last`;

/**
 * Undoes everything measured past a step, as parts of a fenced statement: points, evaluations and roll-ups; the roll-up that the cut
 * goes through is built again from the points that stay. `step` is the number of a parameter that holds the step.
 */
export const rewindSql = (step: string): string => `
  series AS (
    SELECT m.id FROM metric_series m JOIN token ON m.run_id = token.id
  ), points_gone AS (
    DELETE FROM metric_points p USING series WHERE p.series_id = series.id AND p.step > ${step}
  ), kept AS (
    SELECT p.series_id, ${ROLLUP_VALUES} FROM metric_points p JOIN series ON series.id = p.series_id
    WHERE p.step BETWEEN ${step} / ${ROLLUP_STEPS} * ${ROLLUP_STEPS} AND ${step} AND p.${IS_FINITE}
    GROUP BY p.series_id
  ), rollups_rebuilt AS (
    UPDATE metric_rollups r SET n = kept.n, sum = kept.sum, min = kept.min, max = kept.max,
      first_step = kept.first_step, first = kept.first, last_step = kept.last_step, last = kept.last
    FROM kept WHERE r.series_id = kept.series_id AND r.bucket = ${step} / ${ROLLUP_STEPS}
  ), rollups_gone AS (
    DELETE FROM metric_rollups r USING series WHERE r.series_id = series.id AND (r.bucket > ${step} / ${ROLLUP_STEPS}
      OR (r.bucket = ${step} / ${ROLLUP_STEPS} AND NOT EXISTS (SELECT 1 FROM kept WHERE kept.series_id = r.series_id)))
  ), evaluations_gone AS (
    DELETE FROM evaluations e USING token WHERE e.run_id = token.id AND e.step > ${step}
  )`;
