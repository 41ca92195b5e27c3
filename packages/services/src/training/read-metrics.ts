import type { MetricSeries, NotFinite, RunMetrics } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { lastEventId } from '../ground/positions.js';
import { prepared } from '../ground/prepared.js';
import { taskNotFound } from '../work/require-task.js';
import { IS_FINITE, ROLLUP_STEPS } from './rewind.js';

export interface MetricsQuery {
  /** All series when absent. */
  names?: readonly string[];
  /** First and last step, both included. */
  from?: number;
  to?: number;
  /** Points a series at most. */
  buckets: number;
}

/** The points of a series, as one list a column: a row a point would take several times as long to read. */
interface SeriesRow {
  name: string;
  every: number;
  bucket: number[];
  /** Absent from buckets of values that are no numbers. */
  finite: true | null;
  /** These four are null where each point is one step. */
  n: number[] | null;
  sum: number[] | null;
  min: number[] | null;
  max: number[] | null;
  last: (number | NotFinite)[];
}

const list = (column: string, by: string): string => `json_agg(${column} ORDER BY ${by}) AS ${column}`;
const BUCKETS = `${['bucket', 'n', 'sum', 'min', 'max', 'last'].map((column) => list(column, 'bucket')).join()}, true AS finite`;

const OF_RUN = `m.run_id = $1 AND ($2::text[] IS NULL OR m.name = ANY ($2))`;
const IN_WINDOW = `${OF_RUN} AND p.step BETWEEN $3::int AND $4::int`;

/** Points as they are, where a bucket is one step. */
const EACH = `
  SELECT m.name, $5::int AS every, json_agg(p.step ORDER BY p.step) AS bucket, NULL::json AS n, NULL::json AS sum, NULL::json AS min,
    NULL::json AS max, json_agg(p.value ORDER BY p.step) AS last, true AS finite
  FROM metric_series m JOIN metric_points p ON p.series_id = m.id
  WHERE ${IN_WINDOW} AND m.rolled_up IS NOT TRUE AND p.${IS_FINITE} GROUP BY 1`;

const FINE = `
  SELECT name, $5::int AS every, ${BUCKETS} FROM (
    SELECT m.name, p.step / $5::int AS bucket, count(*)::int AS n, sum(p.value) AS sum, min(p.value) AS min, max(p.value) AS max,
      (array_agg(p.value ORDER BY p.step DESC))[1] AS last
    FROM metric_series m JOIN metric_points p ON p.series_id = m.id
    WHERE ${IN_WINDOW} AND m.rolled_up IS NOT TRUE AND p.${IS_FINITE} GROUP BY 1, 2
  ) buckets GROUP BY 1`;

/** Whole roll-ups inside the range, and points at its two ends where it cuts through one. */
const COARSE = `
  WITH series AS (
    SELECT m.id, m.name FROM metric_series m WHERE ${OF_RUN} AND m.rolled_up IS NOT TRUE
  ), edge AS (
    SELECT ($3::int + ${ROLLUP_STEPS - 1}) / ${ROLLUP_STEPS} AS low, ($4::int + 1) / ${ROLLUP_STEPS} - 1 AS high
  ), parts AS (
    SELECT series.name, r.bucket * ${ROLLUP_STEPS} AS step, r.n, r.sum, r.min, r.max, r.last
    FROM series CROSS JOIN edge JOIN metric_rollups r ON r.series_id = series.id AND r.bucket BETWEEN edge.low AND edge.high
    UNION ALL
    SELECT series.name, p.step, 1, p.value, p.value, p.value, p.value
    FROM series CROSS JOIN edge JOIN metric_points p ON p.series_id = series.id
    WHERE p.${IS_FINITE} AND (p.step BETWEEN $3::int AND least($4::int, edge.low * ${ROLLUP_STEPS} - 1)
       OR p.step BETWEEN greatest($3::int, (edge.high + 1) * ${ROLLUP_STEPS}, edge.low * ${ROLLUP_STEPS}) AND $4::int)
  )
  SELECT name, $5::int AS every, ${BUCKETS} FROM (
    SELECT name, step / $5::int AS bucket, sum(n)::int AS n, sum(sum) AS sum, min(min) AS min, max(max) AS max,
      (array_agg(last ORDER BY step DESC))[1] AS last
    FROM parts GROUP BY 1, 2
  ) buckets GROUP BY 1`;

/** Series whose points are gone: every roll-up that the range touches, in buckets of $6 steps. */
const ROLLED_UP = `
  SELECT name, $6::int AS every, ${BUCKETS} FROM (
    SELECT m.name, r.bucket * ${ROLLUP_STEPS} / $6::int AS bucket, sum(r.n)::int AS n, sum(r.sum) AS sum, min(r.min) AS min,
      max(r.max) AS max, (array_agg(r.last ORDER BY r.bucket DESC))[1] AS last
    FROM metric_series m JOIN metric_rollups r ON r.series_id = m.id
    WHERE ${OF_RUN} AND m.rolled_up AND r.bucket BETWEEN $3::int / ${ROLLUP_STEPS} AND $4::int / ${ROLLUP_STEPS} GROUP BY 1, 2
  ) buckets GROUP BY 1`;

/** Buckets with a value that is no number, and the first such value. The condition is that of the partial index. */
const NOT_FINITE = `
  SELECT name, every, ${list('bucket', 'bucket')}, NULL, NULL, NULL, NULL, json_agg(value ORDER BY bucket), NULL FROM (
    SELECT m.name, CASE WHEN m.rolled_up THEN $6::int ELSE $5::int END AS every,
      p.step / CASE WHEN m.rolled_up THEN $6::int ELSE $5::int END AS bucket, (array_agg(p.value::text ORDER BY p.step))[1] AS value
    FROM metric_series m JOIN metric_points p ON p.series_id = m.id
    WHERE ${IN_WINDOW} AND p.value = ANY ('{NaN,Infinity,-Infinity}'::float8[])
    GROUP BY 1, 2, 3
  ) buckets GROUP BY 1, 2`;

/** All kinds in one statement, so that a series whose points go meanwhile is in it once. */
const withOthers = (points: string): string => `(${points}) UNION ALL (${ROLLED_UP}) UNION ALL (${NOT_FINITE})`;
const [EACH_STEP, FINE_BUCKETS, COARSE_BUCKETS] = [EACH, FINE, COARSE].map(withOthers) as [string, string, string];

/** The last step that has a point; no row where the caller's project has no such run. */
const LAST_STEP = `
  SELECT (SELECT max(p.step) FROM metric_series m
    CROSS JOIN LATERAL (SELECT step FROM metric_points WHERE series_id = m.id ORDER BY step DESC LIMIT 1) p
    WHERE m.run_id = r.id AND ($2::text[] IS NULL OR m.name = ANY ($2))) AS last
  FROM runs r JOIN tasks t ON t.id = r.id WHERE r.id = $1 AND t.project_id = $3 AND t.deleted_at IS NULL`;

/** Steps that one bucket covers, `least` or more, so that no more than `buckets` are needed; whole roll-ups when it is wide enough for them. */
function bucketWidth(from: number, to: number, buckets: number, least = 1): number {
  const count = (every: number): number => Math.floor(to / every) - Math.floor(from / every) + 1;
  let every = Math.max(least, Math.ceil((to - from + 1) / buckets));
  while (every > 1 && every < ROLLUP_STEPS && count(every) > buckets) every++;
  if (every < ROLLUP_STEPS) return every;
  every = Math.ceil(every / ROLLUP_STEPS) * ROLLUP_STEPS;
  while (count(every) > buckets) every += ROLLUP_STEPS;
  return every;
}

/**
 * Metrics of a run, at most `buckets` points a series; a bucket keeps n, mean, min, max and the last value, so that spikes survive.
 * A series whose points retention has removed is made of its roll-ups, 256 steps a bucket at least.
 * `last_event_id` is read before the points are: a follower of the stream from there misses none.
 * @throws AppError `not_found`.
 */
export async function readMetrics(s: Services, actor: Actor, runId: string, query: MetricsQuery): Promise<RunMetrics> {
  return JSON.parse(await readMetricsText(s, actor, runId, query)) as RunMetrics;
}

/** The same as JSON text. Thousands of points are written as they are read: objects of them would take several times as long. */
export async function readMetricsText(s: Services, actor: Actor, runId: string, query: MetricsQuery): Promise<string> {
  const last_event_id = await lastEventId(s, runId);
  const names = query.names?.length ? query.names : null;
  const { rows: ends } = await s.pg.query<{ last: number | null }>(
    prepared(LAST_STEP, [runId, names, actor.projectId]),
  );
  if (ends.length === 0) throw taskNotFound(runId);
  const from = query.from ?? 0;
  const to = Math.min(query.to ?? Number.MAX_SAFE_INTEGER, ends[0]?.last ?? -1);
  const widths: Widths = [bucketWidth(from, to, query.buckets), bucketWidth(from, to, query.buckets, ROLLUP_STEPS)];
  const series = to >= from ? await readSeries(s, [runId, names, from, to], widths) : [];
  const head = JSON.stringify({ object: 'run.metrics', run_id: runId, last_event_id });
  const texts = series.map((one, i) => (i === 0 ? '' : ',') + seriesText(one));
  // In one go: each further copy of a long text takes as long as making it.
  return [head.slice(0, -1), ',"series":[', ...texts, ']}'].join('');
}

type Window = [runId: string, names: readonly string[] | null, from: number, to: number];
/** Steps a bucket: of series that have their points, and of those that have roll-ups alone. */
type Widths = [every: number, coarse: number];

const statementFor = (every: number): string =>
  every === 1 ? EACH_STEP : every < ROLLUP_STEPS ? FINE_BUCKETS : COARSE_BUCKETS;

/** A series on its way to the wire: its points are JSON text already. */
interface WrittenSeries extends Pick<MetricSeries, 'name' | 'every' | 'not_finite'> {
  points: string;
}

async function readSeries(s: Services, window: Window, widths: Widths): Promise<WrittenSeries[]> {
  const query = prepared(statementFor(widths[0]), [...window, ...widths]);
  const { rows } = await s.pg.query<SeriesRow>(query);
  const series = new Map<string, WrittenSeries>();
  for (const row of rows) {
    const { name, every, bucket, last, finite } = row;
    const one = series.get(name) ?? { name, every, points: '' };
    series.set(name, one);
    if (finite) one.points = pointsText(row);
    else one.not_finite = bucket.map((number, i) => ({ step: number * every, value: last[i] as NotFinite }));
  }
  return [...series.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function seriesText({ name, every, points, not_finite }: WrittenSeries): string {
  const others = not_finite ? `,"not_finite":${JSON.stringify(not_finite)}` : '';
  return `{"name":${JSON.stringify(name)},"every":${every},"points":[${points}]${others}}`;
}

/** The points of a series, all of whose values are finite: a number as a string is the same number in JSON. */
function pointsText({ every, bucket, n, sum, min, max, last }: SeriesRow): string {
  const texts = bucket.map((number, i) => {
    const value = String(last[i]);
    const count = n?.[i] ?? 1;
    const [mean, low, high] =
      count === 1 ? [value, value, value] : [(sum?.[i] ?? 0) / count, min?.[i] ?? 0, max?.[i] ?? 0];
    return `{"step":${number * every},"n":${count},"mean":${mean},"min":${low},"max":${high},"last":${value}}`;
  });
  return texts.join();
}
