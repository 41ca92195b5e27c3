import { isDivergence } from '../../errors.js';
import { LEAST_VALUES, meanInterval, wilsonInterval } from '../../stats/index.js';
import type { ExperimentOutcome, FileScores, RunOutcome } from '../outcome.js';
import type { Figure, ResultMetric } from './objects.js';

/** How a metric is read. */
interface MetricFacts {
  title: string;
  unit: string;
  isLowerBetter: boolean;
  /** Whether it is a share of rows, and what guessing scores; null where that is not known. */
  isShareOfRows: boolean;
}

export const METRIC_FACTS: Readonly<Record<ResultMetric, MetricFacts>> = {
  loss: { title: 'loss', unit: 'nats a token', isLowerBetter: true, isShareOfRows: false },
  bits_per_byte: { title: 'loss', unit: 'bits per byte', isLowerBetter: true, isShareOfRows: false },
  token_accuracy: { title: 'token accuracy', unit: 'share', isLowerBetter: false, isShareOfRows: false },
  // A whole answer is not guessed.
  exact_match: { title: 'exact match', unit: 'share of rows', isLowerBetter: false, isShareOfRows: true },
};

/** One model of a run: a checkpoint at λ = 1, or its result on the way back to the base. */
export interface Candidate {
  step: number;
  lambda: number;
  kl: number | null;
  scores: readonly FileScores[];
}

/** Every model of a run that was scored: checkpoints by step, then the dial. */
export function candidatesOf(run: RunOutcome): Candidate[] {
  const { step = 0 } = resultOf(run) ?? {};
  return [
    ...run.points.toSorted((a, b) => a.step - b.step).map((point) => ({ ...point, lambda: 1 })),
    ...run.dial.map(({ lambda, scores }) => ({ step, lambda, kl: null, scores })),
  ];
}

/** The step of a run that its result is of, with its scores; where it has none yet, the last one. Null before any. */
export function resultOf({ points, result_step }: RunOutcome): Candidate | null {
  const point = points.find(({ step }) => step === result_step) ?? points.toSorted((a, b) => b.step - a.step)[0];
  return point === undefined ? null : { ...point, lambda: 1 };
}

/** The base's scores as the run measured them: before its first update. */
export const baseOf = ({ points }: RunOutcome): Candidate | null => {
  const first = points.find(({ step }) => step === 0);
  return first === undefined ? null : { ...first, lambda: 1 };
};

/** A metric on target rows of one use; of several files their mean. Null where there is no such file, or one was not measured. */
export function targetScore(
  { scores }: Pick<Candidate, 'scores'>,
  metric: ResultMetric,
  use: FileScores['use'],
): number | null {
  return meanOrNull(scores.filter((one) => one.role === 'target' && one.use === use).map((one) => one[metric]));
}

/** How many bits per byte more than the base a model needs for source rows: what it forgot. Of several files the mean. */
export function forgottenOf(model: Candidate, base: Candidate | null): number | null {
  if (base === null) return null;
  const sources = model.scores.filter(({ role }) => role === 'source');
  return meanOrNull(
    sources.map(({ file_id, bits_per_byte }) => {
      const before = base.scores.find((one) => one.role === 'source' && one.file_id === file_id)?.bits_per_byte ?? null;
      return bits_per_byte === null || before === null ? null : bits_per_byte - before;
    }),
  );
}

function meanOrNull(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null && Number.isFinite(value)) as number[];
  if (known.length === 0 || known.length < values.length) return null;
  return known.reduce((sum, value) => sum + value, 0) / known.length;
}

/** Whether the run's loss diverged, which is a result: its rate is worse than any whose did not. */
export const isDiverged = (run: RunOutcome): boolean =>
  isDivergence(run.verdict) ||
  (resultOf(run)?.scores ?? []).some((one) => one.use === 'validation' && !Number.isFinite(one.loss));

/** Validation loss of the result, nats a token, which rates are chosen by; null where it is none. */
export function validationLoss(run: RunOutcome): number | null {
  const result = run.status === 'succeeded' ? resultOf(run) : null;
  return result === null ? null : targetScore(result, 'loss', 'validation');
}

/** What a run made, at a share of its update; null where it was not scored there. */
export function resultAt(run: RunOutcome, share: number): Candidate | null {
  const step = resultOf(run)?.step;
  return candidatesOf(run).find((one) => one.step === step && one.lambda === share) ?? null;
}

/** Validation loss of a model that has test scores too; null of any other. Test rows are not looked at. */
export function lossOfTested(model: Candidate): number | null {
  const isTested = model.scores.some(({ role, use }) => role === 'target' && use === 'test');
  return isTested ? targetScore(model, 'loss', 'validation') : null;
}

/**
 * The model of a run that validation rows choose at a share of its update: the least loss among those that have test scores too, of equal ones that of the
 * later step. Null where none has both.
 */
export function chooseModel(run: RunOutcome, share: number): Candidate | null {
  const judged = candidatesOf(run).flatMap((model) => {
    const loss = model.lambda === share ? lossOfTested(model) : null;
    return loss === null ? [] : [{ model, loss }];
  });
  const [best] = judged.toSorted((a, b) => a.loss - b.loss || b.model.step - a.model.step);
  return best?.model ?? null;
}

/**
 * The share of the update, of some, that validation rows choose for the runs of an arm: the least mean loss of their results; of equal ones the largest, which learned
 * most. 1 where no share has a loss of all.
 */
export function chooseShare(
  runs: readonly RunOutcome[],
  shares: readonly number[],
  lossOf: (model: Candidate) => number | null,
): number {
  const lossAt = (share: number): number =>
    runs.reduce((sum, run) => {
      const model = resultAt(run, share);
      return sum + ((model && lossOf(model)) ?? Number.POSITIVE_INFINITY);
    }, 0);
  const [best = 1] = [1, ...shares].toSorted((a, b) => (lossAt(a) === lossAt(b) ? b - a : lossAt(a) - lossAt(b)));
  return best;
}

/** The shares at which the results of some runs were scored, the largest first. */
export const sharesOf = (runs: readonly RunOutcome[]): number[] =>
  [...new Set([1, ...runs.flatMap(({ dial }) => dial.map(({ lambda }) => lambda))])].toSorted((a, b) => b - a);

/** The metric that a table tells: exact match where all rows have answers, loss otherwise. */
export function metricOf({ runs }: ExperimentOutcome): ResultMetric {
  const tested = runs
    .flatMap(({ points }) => points.flatMap(({ scores }) => scores))
    .filter(({ role, use }) => role === 'target' && use === 'test');
  return tested.length > 0 && tested.every(({ exact_match }) => exact_match !== null) ? 'exact_match' : 'loss';
}

/** Wilson's interval over rows of a share. */
export function rowsInterval(
  { scores }: Candidate,
  metric: ResultMetric,
): { rows: number | null; interval: [number, number] | null } {
  const { isShareOfRows } = METRIC_FACTS[metric];
  const tested = scores.filter(({ role, use }) => role === 'target' && use === 'test');
  const rows = tested.length === 0 ? null : tested.reduce((sum, one) => sum + one.rows, 0);
  if (!isShareOfRows || rows === null || rows === 0 || tested.some((one) => one[metric] === null))
    return { rows, interval: null };
  const right = tested.reduce((sum, one) => sum + Math.round((one[metric] ?? 0) * one.rows), 0);
  const { low, high } = wilsonInterval(right, rows);
  return { rows, interval: [low, high] };
}

/** Mean and interval over seeds, and why there is no interval; null without a value. */
export function figureOf(values: readonly number[]): Figure | null {
  if (values.length === 0) return null;
  const { mean, n, half } = meanInterval(values);
  const missing =
    n < LEAST_VALUES ? `${n} seed${n === 1 ? '' : 's'}: an interval needs three` : `${n} seeds, all equal`;
  return { mean, half, n, reason: half === null ? missing : null };
}
