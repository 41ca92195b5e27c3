import { bootstrapDifference, LEAST_VALUES, shareDifference } from '../../stats/index.js';
import type { ExperimentOutcome, RunOutcome } from '../outcome.js';
import type { Figure, ResultMetric } from './objects.js';
import {
  baseOf,
  type Candidate,
  figureOf,
  forgottenOf,
  lossOfTested,
  METRIC_FACTS,
  metricOf,
  resultAt,
  rowsInterval,
  sharesOf,
  targetScore,
} from './scores.js';
import { experimentTable } from './table.js';

/** Scores of the chosen model and of its base on the same test items, in the same order. */
export interface ItemScores {
  run_id: string;
  tuned: readonly number[];
  base: readonly number[];
}

export interface VerdictOptions {
  /** Default: exact match where the test rows have answers, loss otherwise. */
  metric?: ResultMetric | undefined;
  /** Bits per byte that may be forgotten on source rows; any where absent. */
  keep?: number | undefined;
  /** Where the seeds give no interval (fewer than three, or all equal) it is of these, and speaks of one model. */
  items?: ItemScores | undefined;
}

export interface Gain {
  /** Better than the base by so much, in the metric's unit. */
  mean: number;
  low: number;
  high: number;
  n: number;
  /**
   * What the interval is over: a t-interval over seeds, or the items of one model: the paired bootstrap, or, where only shares of rows are known of three or
   * more seeds that are all equal, the joined intervals of both shares.
   */
  over: 'seeds' | 'items';
}

/** The one answer to "what shall I train?". */
export interface Verdict {
  decision: 'use' | 'do_not_use';
  /** One sentence that says why. */
  reason: string;
  metric: ResultMetric;
  /** What validation rows chose; null where nothing could be chosen. */
  chosen: {
    arm: string;
    label: string;
    learning_rate: number;
    is_bracketed: boolean;
    run_id: string;
    step: number;
    lambda: number;
  } | null;
  /** On test rows, of what `gain` is of: the mean over the seeds, or the one model. */
  base: number | null;
  tuned: number | null;
  gain: Gain | null;
  /** Bits per byte of source rows beyond those of the base; null where there are none. */
  forgotten: Figure | null;
  /** What all runs took together, and how many have not said so. */
  seconds: number;
  runs_unmeasured: number;
  /** Null where nothing is to be used. */
  next_command: string | null;
}

/** A model of an arm over its seeds: the results of its runs, at a share of their updates. */
interface Option {
  arm: string;
  lambda: number;
  /** Mean over the seeds, on validation rows. */
  loss: number;
  forgotten: number | null;
  models: { run: RunOutcome; model: Candidate; loss: number }[];
}

/**
 * Method, rate, checkpoint and λ by validation rows, among those that forget no more than `keep`; what that gained over the base on test rows, looked
 * at once. "Do not use" unless the 95 % interval of the gain lies above 0. Source rows take part in the choice only where `keep` is given.
 */
export function experimentVerdict(outcome: ExperimentOutcome, options: VerdictOptions = {}): Verdict {
  const { metric = metricOf(outcome), keep, items } = options;
  const { rows } = experimentTable(outcome, { metric });
  const cost = {
    seconds: outcome.runs.reduce((sum, { seconds }) => sum + (seconds ?? 0), 0),
    runs_unmeasured: outcome.runs.filter(({ seconds }) => seconds === null).length,
  };
  const all = rows.flatMap((row) => {
    const counted = new Set(row.runs.filter(({ left_out }) => left_out === null).map(({ run_id }) => run_id));
    return optionsOf(
      row.arm,
      outcome.runs.filter(({ run_id }) => counted.has(run_id)),
    );
  });
  const best = chooseOption(all, keep);
  const none = { metric, base: null, tuned: null, gain: null, forgotten: null, ...cost };
  if (best === null) {
    const reason = whyNone(all, keep);
    return { decision: 'do_not_use', reason, chosen: null, ...none, next_command: null };
  }
  const row = rows.find(({ arm }) => arm === best.arm);
  const kept = best.models.toSorted((a, b) => a.loss - b.loss || a.run.seed - b.run.seed)[0];
  if (row === undefined || kept === undefined) throw new Error(`No row of ${best.arm}.`);
  const { lambda } = best;
  const { run_id, learning_rate } = kept.run;
  const { step } = kept.model;
  const chosen = {
    arm: best.arm,
    label: row.label,
    learning_rate,
    is_bracketed: row.is_bracketed === true,
    run_id,
    step,
    lambda,
  };
  const scoreOf = ({ run, model }: Option['models'][number]) => ({
    tuned: targetScore(model, metric, 'test'),
    base: baseScore(run, metric),
    rows: rowsInterval(model, metric).rows,
  });
  const scored = best.models.map(scoreOf);
  const gain = gainOf(scored, metric, items?.run_id === run_id ? items : undefined);
  const { decision, reason } = decide(gain, scored, metric, chosen);
  // What the gain is of: the model of the items, or the mean of the seeds.
  const told = gain?.over === 'items' ? [scoreOf(kept)] : scored;
  return {
    decision,
    reason,
    ...none,
    chosen,
    base: meanOf(told.map((one) => one.base)),
    tuned: meanOf(told.map((one) => one.tuned)),
    gain,
    forgotten: forgottenFigure(best),
    next_command: decision === 'use' ? nextCommand(kept.run, lambda) : null,
  };
}

/** What is downloaded of a run is its result. */
const nextCommand = ({ run_id }: RunOutcome, lambda: number): string =>
  `moraine runs download ${run_id} --format merged${lambda === 1 ? '' : ` --lambda ${lambda}`}`;

const baseScore = (run: RunOutcome, metric: ResultMetric): number | null => {
  const base = baseOf(run);
  return base === null ? null : targetScore(base, metric, 'test');
};

/** The shares of the update at which the result of every seed of an arm has validation and test scores, the largest first. The base itself is none. */
function optionsOf(arm: string, runs: readonly RunOutcome[]): Option[] {
  return sharesOf(runs)
    .filter((lambda) => lambda !== 0)
    .flatMap((lambda) => {
      const models = runs.flatMap((run) => {
        const model = resultAt(run, lambda);
        const loss = model !== null && model.step > 0 ? lossOfTested(model) : null;
        return model === null || loss === null ? [] : [{ run, model, loss }];
      });
      if (models.length === 0 || models.length < runs.length) return [];
      const forgotten = meanOf(models.map(({ run, model }) => forgottenOf(model, baseOf(run))));
      return [{ arm, lambda, models, forgotten, loss: meanOf(models.map(({ loss }) => loss)) ?? Number.NaN }];
    });
}

function meanOf(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null) as number[];
  return known.length === 0 || known.length < values.length
    ? null
    : known.reduce((sum, one) => sum + one, 0) / known.length;
}

const isKept = ({ forgotten }: Option, keep: number | undefined): boolean =>
  keep === undefined || (forgotten !== null && forgotten <= keep);

function chooseOption(all: readonly Option[], keep: number | undefined): Option | null {
  const allowed = all.filter((option) => isKept(option, keep));
  const least = Math.min(...allowed.map(({ loss }) => loss));
  return allowed.find(({ loss }) => loss === least) ?? null;
}

function whyNone(all: readonly Option[], keep: number | undefined): string {
  if (all.length === 0) return 'no run of any method ended with a score: there is nothing to use';
  const measured = all.flatMap(({ forgotten }) => (forgotten === null ? [] : [forgotten]));
  if (measured.length === 0) return 'what was forgotten was not measured, so nothing shows that it is within the bound';
  return `every model forgets more than the bound of ${keep} bits per byte; the least is ${digits(Math.min(...measured))}`;
}

const forgottenFigure = ({ models }: Option): Figure | null => {
  const values = models.map(({ run, model }) => forgottenOf(model, baseOf(run)));
  return values.every((value) => value !== null) ? figureOf(values) : null;
};

type Scored = { tuned: number | null; base: number | null; rows: number | null }[];

function gainOf(scored: Scored, metric: ResultMetric, items: ItemScores | undefined): Gain | null {
  const sign = METRIC_FACTS[metric].isLowerBetter ? -1 : 1;
  const gains = scored.flatMap(({ tuned, base }) => (tuned === null || base === null ? [] : [sign * (tuned - base)]));
  const figure = gains.length < scored.length ? null : figureOf(gains);
  if (figure !== null && figure.half !== null)
    return {
      mean: figure.mean,
      low: figure.mean - figure.half,
      high: figure.mean + figure.half,
      n: figure.n,
      over: 'seeds',
    };
  if (items === undefined) return figure !== null && figure.n >= LEAST_VALUES ? gainOfShares(scored, metric) : null;
  const signed = (values: readonly number[]): number[] => values.map((value) => sign * value);
  const { difference, low, high, n } = bootstrapDifference(signed(items.tuned), signed(items.base));
  return { mean: difference, low, high, n, over: 'items' };
}

/** By how many of its rows one model of equal seeds is better than the base; null where the metric is no share of them. */
function gainOfShares([one]: Scored, metric: ResultMetric): Gain | null {
  if (!METRIC_FACTS[metric].isShareOfRows || !one?.rows || one.tuned === null || one.base === null) return null;
  const count = (share: number): number => Math.round(share * (one.rows ?? 0));
  const { low, high } = shareDifference(count(one.tuned), count(one.base), one.rows);
  return { mean: one.tuned - one.base, low, high, n: one.rows, over: 'items' };
}

function decide(
  gain: Gain | null,
  scored: Scored,
  metric: ResultMetric,
  chosen: NonNullable<Verdict['chosen']>,
): Pick<Verdict, 'decision' | 'reason'> {
  const { unit, title } = METRIC_FACTS[metric];
  const doNot = (reason: string) => ({ decision: 'do_not_use' as const, reason });
  if (gain === null)
    return doNot(
      'nothing shows a gain: fewer than three seeds, or seeds that are all equal, give no interval without scores of single items',
    );
  const over = gain.over === 'seeds' ? `${gain.n} seeds` : `${gain.n} items of one model`;
  const interval = `${title} better by ${digits(gain.mean)} [${digits(gain.low)}, ${digits(gain.high)}] ${unit} (95 %, over ${over})`;
  if (gain.low > 0) return { decision: 'use', reason: `${chosen.arm} is better than the base: ${interval}` };
  if (gain.high < 0) return doNot(`worse than the base: ${interval}`);
  const isPerfect = metric !== 'loss' && metric !== 'bits_per_byte' && scored.every(({ base }) => base === 1);
  if (isPerfect) return doNot(`no better than the base, which answers every test row already: ${interval}`);
  return doNot(`no better than the base: the interval holds 0: ${interval}`);
}

const digits = (value: number): string => String(Number(value.toPrecision(3))).replace('-', '−');
