import { checkRates } from '../check-rates.js';
import type { ComparedArm, ComparedRun, Factor, NotComparable } from '../comparison.js';
import { FACTORS } from '../comparison.js';
import { notComparable, yardstickLabel } from '../not-comparable.js';
import type { ExperimentOutcome, OutcomeArm, RunOutcome } from '../outcome.js';
import type { ExperimentTable, Figure, ResultMetric, TableRow, TableRun } from './objects.js';
import {
  baseOf,
  chooseModel,
  chooseShare,
  figureOf,
  forgottenOf,
  isDiverged,
  lossOfTested,
  METRIC_FACTS,
  metricOf,
  rowsInterval,
  sharesOf,
  targetScore,
  validationLoss,
} from './scores.js';

export interface TableOptions {
  /** Default: exact match where the test rows have answers, loss otherwise. */
  metric?: ResultMetric | undefined;
  /** What the question varies: no reason not to compare. */
  varies?: readonly Factor[];
}

/**
 * A row an arm: what was learned and kept by the final seeds at the rate, checkpoint and λ that validation rows chose, on test rows.
 * Pure; the order of runs does not matter.
 */
export function experimentTable(outcome: ExperimentOutcome, options: TableOptions = {}): ExperimentTable {
  const { metric = metricOf(outcome), varies = [] } = options;
  const { unit, isLowerBetter } = METRIC_FACTS[metric];
  const arms = outcome.arms.map((arm) => readArm(arm, outcome.runs, metric));
  const compared = arms.map((one) => one.compared);
  const reasons = reasonsOf(arms, varies);
  const [first] = arms;
  const rows = arms.map((one) => toRow(one, first, compared));
  return {
    object: 'experiment.table',
    metric,
    unit,
    lower_is_better: isLowerBetter,
    search_seeds: numbers(outcome.runs.filter(({ phase }) => phase === 'search').map(({ seed }) => seed)),
    rows,
    not_comparable: reasons,
    claims: claimsOf(rows, reasons, metric),
  };
}

const numbers = (values: readonly number[]): number[] => [...new Set(values)].sort((a, b) => a - b);

/** An arm with its runs read. */
interface ReadArm {
  arm: OutcomeArm;
  rate: number | null;
  runs: readonly RunOutcome[];
  finals: { run: RunOutcome; row: TableRun }[];
  /** As its final runs are compared, and as its rates are. */
  compared: ComparedArm;
  searched: ComparedArm;
}

function readArm(arm: OutcomeArm, all: readonly RunOutcome[], metric: ResultMetric): ReadArm {
  const runs = all
    .filter((run) => run.arm === arm.name)
    .toSorted((a, b) => a.learning_rate - b.learning_rate || a.seed - b.seed || (a.run_id < b.run_id ? -1 : 1));
  const rate = chosenRate(runs);
  const ofPhase = (phase: RunOutcome['phase']): RunOutcome[] => runs.filter((run) => run.phase === phase);
  const whole = ofPhase('final').filter((run) => isWhole(run, rate));
  const share = chooseShare(whole, sharesOf(whole), lossOfTested);
  const finals = ofPhase('final').map((run) => ({ run, row: toRun(run, { rate, share }, metric) }));
  const counted = finals.filter(({ row }) => row.left_out === null).map(({ run }) => run);
  const searched = ofPhase('search').filter(hasScore);
  const as = (chosen: readonly RunOutcome[]): ComparedArm => ({
    name: arm.name,
    method: arm.method,
    trainableParameters: arm.trainable_parameters,
    learningRate: rate ?? Number.NaN,
    runs: chosen.map(toCompared),
  });
  return { arm, rate, runs, finals, compared: as(counted), searched: as(searched.length > 0 ? searched : counted) };
}

/** Whether a run says something of its rate: it came to its last step, diverged, or was stopped as one of the worse. */
const hasScore = (run: RunOutcome): boolean => run.status === 'succeeded' || isDiverged(run) || run.stopped_at !== null;

/**
 * The rate of the final runs; of several, which a search that went on later leaves, and where there is none yet, the one of the least
 * validation loss of their results.
 */
function chosenRate(runs: readonly RunOutcome[]): number | null {
  const finals = runs.filter(({ phase }) => phase === 'final');
  const rates = numbers(finals.map((run) => run.learning_rate));
  if (rates.length === 1) return rates[0] ?? null;
  const searched = ratesOf(runs.filter(({ phase }) => phase === 'search'));
  const among = searched.filter(({ learning_rate }) => rates.length === 0 || rates.includes(learning_rate));
  const tried = among.length > 0 ? among : ratesOf(finals);
  const known = tried.filter(({ loss }) => loss !== null) as { learning_rate: number; loss: number }[];
  const least = Math.min(...known.map(({ loss }) => loss));
  const best = known.filter(({ loss }) => loss === least);
  return best[(best.length - 1) >> 1]?.learning_rate ?? null;
}

/**
 * Rates by rising rate, each with the mean validation loss of the results of its runs that have ended; null where one diverged, and where one was stopped before, whose step
 * and loss there stand beside it.
 */
export function ratesOf(runs: readonly RunOutcome[]): TableRow['rates'] {
  const ended = runs.filter(hasScore);
  return numbers(ended.map((run) => run.learning_rate)).map((learning_rate) => {
    const at = ended.filter((run) => run.learning_rate === learning_rate).toSorted((a, b) => a.seed - b.seed);
    const losses = at.map(validationLoss);
    const known = losses.filter((loss) => loss !== null) as number[];
    const loss = known.length < losses.length ? null : known.reduce((sum, one) => sum + one, 0) / known.length;
    const stopped = at.find(({ stopped_at }) => stopped_at !== null) ?? null;
    return { learning_rate, loss, stopped: stopped && stoppedOf(stopped), seeds: numbers(at.map(({ seed }) => seed)) };
  });
}

function stoppedOf(run: RunOutcome): { step: number; loss: number | null } {
  const step = run.stopped_at ?? 0;
  return { step, loss: validationScores(run).find((one) => one.step === step)?.score ?? null };
}

/** Validation losses at every step that has one. */
const validationScores = ({ points }: RunOutcome): { step: number; score: number | null }[] =>
  points.map((point) => ({ step: point.step, score: targetScore(point, 'loss', 'validation') }));

/** Whether a final run is of the rate that was chosen, and came to its end. */
const isWhole = (run: RunOutcome, rate: number | null): boolean =>
  run.learning_rate === rate && run.status === 'succeeded' && !isDiverged(run);

function toRun(
  run: RunOutcome,
  { rate, share }: { rate: number | null; share: number },
  metric: ResultMetric,
): TableRun {
  const { run_id, seed, status, seconds } = run;
  const chosen = chooseModel(run, share);
  const learned = chosen === null ? null : targetScore(chosen, metric, 'test');
  const left = leftOut(run, rate, learned);
  const none = { step: null, lambda: null, rows: null, learned: null, base: null, interval: null, kept: null };
  if (left !== null || chosen === null) return { run_id, seed, status, ...none, seconds, left_out: left };
  const base = baseOf(run);
  const { rows, interval } = rowsInterval(chosen, metric);
  return {
    run_id,
    seed,
    status,
    step: chosen.step,
    lambda: chosen.lambda,
    rows,
    learned,
    base: base === null ? null : targetScore(base, metric, 'test'),
    interval,
    kept: forgottenOf(chosen, base),
    seconds,
    left_out: null,
  };
}

/** Why a final run takes no part; null where it does. */
function leftOut(run: RunOutcome, rate: number | null, learned: number | null): string | null {
  if (run.learning_rate !== rate) return `its rate, ${run.learning_rate}, is not the one that was chosen`;
  if (isDiverged(run)) return 'it diverged';
  if (run.status !== 'succeeded') return `it is ${run.status}`;
  return learned === null ? 'no checkpoint has both validation and test scores' : null;
}

function toCompared(run: RunOutcome): ComparedRun {
  return {
    seed: run.seed,
    learningRate: run.learning_rate,
    base: run.base,
    data: run.data,
    order: run.order,
    tokens: run.tokens,
    evaluationItems: run.evaluation_items,
    sequenceLength: run.sequence_length,
    settings: run.settings,
    score: validationLoss(run),
    stoppedAt: run.stopped_at ?? undefined,
    scores: validationScores(run),
  };
}

/** What final runs share, and rates by the seeds of the search. */
function reasonsOf(arms: readonly ReadArm[], varies: readonly Factor[]): NotComparable[] {
  const shared = notComparable(
    arms.map(({ compared }) => compared),
    { varies: [...varies, 'learning_rate'] },
  );
  const rates = notComparable(
    arms.filter(({ rate }) => rate !== null).map(({ searched }) => searched),
    { varies: FACTORS.filter((factor) => factor !== 'learning_rate' || varies.includes(factor)) },
  );
  const open = arms
    .filter(({ rate }) => rate === null)
    .map(({ arm: { name } }): NotComparable => {
      return { factor: 'learning_rate', arms: [name], sentence: `no learning rate of ${name} is chosen yet` };
    });
  return [...shared, ...rates, ...(varies.includes('learning_rate') ? [] : open)];
}

function toRow(read: ReadArm, first: ReadArm | undefined, compared: readonly ComparedArm[]): TableRow {
  const { arm, rate, runs, finals } = read;
  const counted = finals.filter(({ row }) => row.left_out === null).map(({ row }) => row);
  const learned = counted.flatMap((row) => (row.learned === null ? [] : [row.learned]));
  const bases = counted.map((row) => row.base);
  const kept = counted.map((row) => row.kept);
  return {
    arm: arm.name,
    method: arm.method,
    label: arm.label,
    color: arm.color,
    yardstick: yardstickLabel(read.compared, compared),
    trainable_parameters: arm.trainable_parameters,
    replay_share: arm.replay_share,
    learning_rate: rate,
    is_bracketed: rate === null ? null : checkRates(read.searched, true).length === 0,
    rates: ratesOf(runs.filter(({ phase }) => phase === 'search')),
    base: isKnown(bases) ? figureOf(bases) : null,
    learned: figureOf(learned),
    kept: isKnown(kept) ? figureOf(kept) : null,
    kept_reason: keptReason(counted),
    difference: first === undefined || first === read ? null : differenceOf(read, first),
    seconds: {
      search: secondsOf(runs, 'search'),
      final: secondsOf(runs, 'final'),
      runs_unmeasured: runs.filter(({ seconds }) => seconds === null).length,
    },
    runs: finals.map(({ row }) => row),
  };
}

const isKnown = (values: readonly (number | null)[]): values is number[] =>
  values.length > 0 && values.every((value) => value !== null);

function keptReason(counted: readonly TableRun[]): string | null {
  if (counted.length === 0) return 'no run of the final seeds takes part';
  const without = counted.filter(({ kept }) => kept === null).length;
  if (without === 0) return null;
  return `${without} of ${counted.length} runs have no bits per byte of source rows, at step 0 and at the chosen checkpoint`;
}

const secondsOf = (runs: readonly RunOutcome[], phase: RunOutcome['phase']): number =>
  runs.reduce((sum, run) => (run.phase === phase ? sum + (run.seconds ?? 0) : sum), 0);

/** From the first arm, run by run of equal seed and order. */
function differenceOf(read: ReadArm, first: ReadArm): TableRow['difference'] {
  const to = first.arm.name;
  const ofArm = (one: ReadArm) => one.finals.filter(({ row }) => row.left_out === null);
  const pairs = ofArm(read).flatMap(({ run, row }) => {
    const other = ofArm(first).find((one) => one.run.seed === run.seed && one.run.order === run.order);
    return other === undefined ? [] : [{ row, other: other.row }];
  });
  if (pairs.length === 0) return { to, learned: null, kept: null, reason: 'no two runs have the same seed and order' };
  return { to, learned: between(pairs, 'learned'), kept: between(pairs, 'kept'), reason: null };
}

function between(pairs: readonly { row: TableRun; other: TableRun }[], key: 'learned' | 'kept'): Figure | null {
  const known = pairs.flatMap(({ row, other }) => {
    const [value, baseline] = [row[key], other[key]];
    return value === null || baseline === null ? [] : [value - baseline];
  });
  return known.length < pairs.length ? null : figureOf(known);
}

/** Sentences that the figures hold up; none about arms that cannot be compared. */
function claimsOf(rows: readonly TableRow[], reasons: readonly NotComparable[], metric: ResultMetric): string[] {
  const { title, unit, isLowerBetter } = METRIC_FACTS[metric];
  const refused = new Set(reasons.flatMap(({ arms }) => arms));
  return rows.flatMap(({ arm, difference }) => {
    if (difference === null || refused.has(arm) || refused.has(difference.to)) return [];
    const { learned, kept, to } = difference;
    const said: string[] = [];
    if (learned !== null && excludesZero(learned)) {
      const isBetter = learned.mean < 0 === isLowerBetter;
      said.push(`${arm} learned ${isBetter ? 'more' : 'less'} than ${to}: ${title} ${signed(learned)} ${unit}`);
    }
    if (kept !== null && excludesZero(kept))
      said.push(`${arm} forgot ${kept.mean > 0 ? 'more' : 'less'} than ${to}: ${signed(kept)} bits per byte`);
    return said;
  });
}

const excludesZero = ({ mean, half }: Figure): boolean => half !== null && Math.abs(mean) > half;

const signed = ({ mean, half, n }: Figure): string =>
  `${mean > 0 ? '+' : '−'}${digits(Math.abs(mean))} ± ${digits(half ?? 0)} (95 %, ${n} seeds)`;

const digits = (value: number): string => String(Number(value.toPrecision(3)));
