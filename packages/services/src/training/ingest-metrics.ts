import type { AttemptToken, Services } from '../ground/context.js';
import { type Wish, wishOf } from '../work/ask-to-stop.js';
import { fenced, TOKEN } from '../work/fence.js';
import { advancePace, type Pace } from './pace.js';
import { IS_FINITE, ROLLUP_STEPS, ROLLUP_VALUES } from './rewind.js';

export interface StepMetrics {
  step: number;
  /** When the step ended, milliseconds of the worker's clock; absent: now. */
  at?: number;
  values: Record<string, number>;
}

/** Points, their roll-ups and the run's progress. Only points that are new reach the roll-ups, so a batch may be sent any number of times. */
const INGEST = `
  WITH ${TOKEN}, input AS (
    SELECT DISTINCT ON (name, step) name, step, value FROM unnest($4::text[], $5::int[], $6::float8[]) AS i(name, step, value)
  ), names AS (
    SELECT DISTINCT name FROM input
  ), known AS (
    SELECT m.id, m.name FROM metric_series m JOIN token ON m.run_id = token.id JOIN names ON names.name = m.name
  ), added AS (
    INSERT INTO metric_series (project_id, run_id, name)
    SELECT token.project_id, token.id, names.name FROM token, names WHERE NOT EXISTS (SELECT 1 FROM known WHERE known.name = names.name)
    ON CONFLICT (run_id, name) DO UPDATE SET name = EXCLUDED.name
    RETURNING id, name
  ), points AS (
    INSERT INTO metric_points (series_id, step, value)
    SELECT series.id, input.step, input.value
    FROM input JOIN (SELECT * FROM known UNION ALL SELECT * FROM added) AS series ON series.name = input.name
    ORDER BY 1, 2
    ON CONFLICT DO NOTHING
    RETURNING series_id, step, value
  ), rollups AS (
    INSERT INTO metric_rollups AS r (series_id, bucket, n, sum, min, max, first_step, first, last_step, last)
    SELECT series_id, step / ${ROLLUP_STEPS}, ${ROLLUP_VALUES} FROM points WHERE ${IS_FINITE} GROUP BY 1, 2
    ON CONFLICT (series_id, bucket) DO UPDATE SET
      n = r.n + EXCLUDED.n, sum = r.sum + EXCLUDED.sum, min = least(r.min, EXCLUDED.min), max = greatest(r.max, EXCLUDED.max),
      first = CASE WHEN EXCLUDED.first_step < r.first_step THEN EXCLUDED.first ELSE r.first END,
      first_step = least(r.first_step, EXCLUDED.first_step),
      last = CASE WHEN EXCLUDED.last_step > r.last_step THEN EXCLUDED.last ELSE r.last END,
      last_step = greatest(r.last_step, EXCLUDED.last_step)
  ), progress AS (
    UPDATE runs r SET step = greatest(r.step, least($7::int, r.steps)), trained_tokens = greatest(r.trained_tokens, $8::bigint),
      tokens_per_second = coalesce($9::float8, r.tokens_per_second), train_loss = coalesce($10::float8, r.train_loss),
      pace = coalesce($11::jsonb, r.pace)
    FROM token WHERE r.id = token.id
  ), beat AS (
    UPDATE attempts a SET progress_at = now() FROM token WHERE a.task_id = token.id AND a.attempt = $2
  )
  SELECT token.state, (SELECT count(*)::int FROM points) AS added FROM token`;

/** Share of the older figure in the smoothed speed. */
const SMOOTHING = 0.9;

/**
 * Stores the metrics of steps in one statement that may be repeated; values that are no numbers are points without a share in roll-ups. The answer says how many
 * points were new and whether the run is to be cancelled or paused. @throws AppError `stale_attempt`.
 */
export async function ingestMetrics(
  s: Services,
  token: AttemptToken,
  batch: readonly StepMetrics[],
): Promise<{ added: number; wish: Wish | null }> {
  const names: string[] = [];
  const steps: number[] = [];
  const values: number[] = [];
  let speed: number | null = null;
  let loss: number | null = null;
  let tokens = 0;
  let lastStep = 0;
  const trained = batch.filter(({ values: { train_loss } }) => train_loss !== undefined);
  for (const { step, values: measured } of batch) {
    for (const [name, value] of Object.entries(measured)) {
      names.push(name);
      steps.push(step);
      values.push(value);
    }
    if (Number.isFinite(measured.train_loss)) {
      loss = measured.train_loss ?? loss;
      lastStep = Math.max(lastStep, step);
    }
    tokens = Math.max(tokens, measured.trained_tokens ?? 0);
    const now = measured.tokens_per_second;
    if (now !== undefined && Number.isFinite(now))
      speed = speed === null ? now : SMOOTHING * speed + (1 - SMOOTHING) * now;
  }
  const row = await fenced<{ state: string | null; added: number }>(s, token, INGEST, [
    names,
    steps,
    values,
    lastStep,
    Math.round(tokens),
    speed,
    loss,
    await nextPace(s, token, trained),
  ]);
  return { added: row.added, wish: wishOf(row.state) };
}

/** The pace of the run with these steps, as JSON; null where there is none. One attempt writes it, so nothing is lost in between. */
async function nextPace(
  s: Services,
  { taskId, attempt }: AttemptToken,
  steps: readonly StepMetrics[],
): Promise<string | null> {
  if (steps.length === 0) return null;
  const { rows } = await s.pg.query<{ pace: Pace | null }>('SELECT pace FROM runs WHERE id = $1', [taskId]);
  const pace = advancePace(
    rows[0]?.pace ?? null,
    attempt,
    steps.map(({ step, at = Date.now() }) => ({ step, at })),
  );
  return pace && JSON.stringify(pace);
}
