import type { RunVerdict } from '@moraine/contract';
import { median } from '@moraine/contract/stats';
import type { Queryable } from '../ground/transaction.js';
import { IS_FINITE } from './rewind.js';

/** Values at either end of a series that are looked at together, so that one batch decides nothing. */
const WINDOW = 8;

/** What a run's losses say beside its status. */
export interface LossEnds {
  name: string;
  /** The first values, oldest first. */
  first: readonly number[];
  /** The last values, newest first. */
  last: readonly number[];
  count: number;
  /** The least validation loss and its step. */
  best?: { value: number; step: number } | null;
  /** The step that the result of the run is of, where it has one. */
  result_step?: number | null;
}

const WORDS: Record<string, string> = { train_loss: 'training loss', valid_loss: 'validation loss' };

/**
 * Diverged: the loss of late is more than twice that of the beginning, and more than a nat. A loss only goes there when updates make
 * the model worse; uniform guessing over 32,000 tokens is 10.4 nats.
 */
export function lossVerdict({ name, first, last, count }: LossEnds): RunVerdict | null {
  if (count < 2) return null;
  // Most runs: no value of the end is above what any of the beginning allows, whatever their medians are.
  if (!(Math.max(...last) > 2 * Math.min(...first) + 1)) return null;
  const window = Math.min(WINDOW, Math.floor(count / 2));
  const start = Math.min(first[0] ?? Number.POSITIVE_INFINITY, median(first.slice(0, window)));
  const end = median(last.slice(0, window));
  if (!(end > 2 * start + 1)) return null;
  const message = `The ${WORDS[name] ?? name} rose from ${shown(start)} to ${shown(end)} nats per token. Lower the learning rate or lengthen the warm-up.`;
  return { code: 'diverged', message };
}

/** Validations that must have been, of which the last two must all be worse than the best. */
const VALIDATIONS_MIN = 4;
const LAST = 2;
/** What a validation loss may rise above its best: it is always of the same rows, so what moves it is the model. */
const RISE = { share: 1.1, nats: 0.05 };

/**
 * Overfitted: the last two validation losses are both more than a tenth and more than 0.05 nats above the best one. A run whose loss never
 * was better than at its end, whose result is of that best, or that was validated less than four times, has no such verdict.
 */
export function validationVerdict({ name, last, count, best, result_step }: LossEnds): RunVerdict | null {
  if (name !== 'valid_loss' || !best || count < VALIDATIONS_MIN || best.step === result_step) return null;
  const end = Math.min(...last.slice(0, LAST));
  if (!(end > RISE.share * best.value && end > best.value + RISE.nats)) return null;
  const message = `The validation loss was best at step ${best.step} (${shown(best.value)} nats per token) and rose to ${shown(last[0] ?? end)}. Train for fewer steps, or on more rows.`;
  return { code: 'overfitted', message };
}

const shown = (loss: number): string =>
  loss >= 1000 ? Math.round(loss).toLocaleString('en-US') : Number(loss.toPrecision(4)).toString();

const side = (order: 'ASC' | 'DESC'): string => `ARRAY(
  SELECT value FROM metric_points p WHERE p.series_id = m.id AND p.${IS_FINITE} ORDER BY p.step ${order} LIMIT ${WINDOW})`;

/** A list of `LossEnds` (without `result_step`) in SQL, of `runs r`. */
const LOSSES = `(
  SELECT coalesce(json_agg(json_build_object('name', m.name, 'first', ${side('ASC')}, 'last', ${side('DESC')},
    'count', (SELECT coalesce(sum(n), 0)::int FROM metric_rollups u WHERE u.series_id = m.id),
    'best', (SELECT json_build_object('value', value, 'step', step) FROM metric_points p
      WHERE m.name = 'valid_loss' AND p.series_id = m.id AND p.${IS_FINITE} ORDER BY value, step DESC LIMIT 1))), '[]')
  FROM metric_series m WHERE m.run_id = r.id AND m.name IN ('train_loss', 'valid_loss'))`;

/** What the losses of a run say, the training loss before the validation loss; `result_step` is the step that its result is of. */
function verdictOf(losses: readonly LossEnds[], result_step: number | null): RunVerdict | null {
  const verdictFor = (name: string): RunVerdict | null => {
    const ends = losses.find((one) => one.name === name);
    return ends ? (lossVerdict(ends) ?? validationVerdict({ ...ends, result_step })) : null;
  };
  return verdictFor('train_loss') ?? verdictFor('valid_loss');
}

/** What a run's verdict is read from: `VERDICT` in SQL. */
export interface VerdictRow {
  verdict: RunVerdict | null;
  /** Null where the verdict is settled. */
  losses: readonly LossEnds[] | null;
}

/** Columns of a `VerdictRow`, of `runs r`. The points of a run that has ended are not read again. */
export const VERDICT = `r.verdict, CASE WHEN r.verdict IS NULL THEN ${LOSSES} END AS losses`;

/** The verdict of a run that was read with `VERDICT`. */
export const readVerdict = ({ verdict, losses }: VerdictRow, result_step: number | null): RunVerdict | null =>
  losses === null ? verdict : verdictOf(losses, result_step);

/** Writes the verdict of a run that ends, after the step that its result is of; nothing is measured of it any more. */
export async function settleVerdict(client: Queryable, runId: string): Promise<void> {
  const { rows } = await client.query<{ losses: LossEnds[]; result_step: number | null }>(
    `SELECT ${LOSSES} AS losses, r.result_step FROM runs r WHERE r.id = $1`,
    [runId],
  );
  for (const { losses, result_step } of rows)
    await client.query('UPDATE runs SET verdict = $2::jsonb WHERE id = $1', [
      runId,
      JSON.stringify(verdictOf(losses, result_step)),
    ]);
}
