import { paretoFront } from '../../stats/index.js';
import type { ExperimentOutcome, FileScores, OutcomeArm, RunOutcome } from '../outcome.js';
import { klGauge } from './gauge.js';
import type { ExperimentFrontier, PlanePoint, ResultMetric } from './objects.js';
import { baseOf, type Candidate, candidatesOf, forgottenOf, METRIC_FACTS, targetScore } from './scores.js';

export interface FrontierOptions {
  /** What x tells; default: loss. */
  metric?: ResultMetric | undefined;
}

type Use = FileScores['use'];

/**
 * The plane of learning and keeping, with the base at the origin: x is how much better than the base a model is on target rows, y how many bits per byte
 * fewer than the base it needs for source rows. Both are better where they are larger. A path a run, by its checkpoints, and the Pareto front over
 * all of them, dial points and the base. x is of validation rows where the base was scored on them, so that a point can be chosen here; of test rows otherwise.
 */
export function experimentFrontier(outcome: ExperimentOutcome, options: FrontierOptions = {}): ExperimentFrontier {
  const { metric = 'loss' } = options;
  const facts = METRIC_FACTS[metric];
  const finals = outcome.runs
    .filter(({ phase }) => phase === 'final')
    .toSorted((a, b) => (a.run_id < b.run_id ? -1 : 1));
  const rows: Use = finals.some((run) => baseScore(run, metric, 'validation') !== null) ? 'validation' : 'test';
  const placed = outcome.arms.flatMap((arm) =>
    finals.filter((run) => run.arm === arm.name).map((run) => placeRun(arm, run, metric, rows)),
  );
  const drawn = placed.flatMap((one) => ('place' in one ? [one.place] : []));
  const base = { run_id: null, arm: null, step: 0, lambda: 1, x: 0, y: 0 };
  const models = drawn.flatMap(({ run_id, arm, points, dial }) =>
    // A run's step 0 is the base, which has a point of its own.
    [...points, ...dial]
      .filter(({ step, lambda }) => step > 0 && lambda > 0)
      .map(({ is_on_front: _, ...point }) => ({ run_id, arm, ...point })),
  );
  const front = paretoFront([base, ...models], ({ x, y }) => ({ x, y }));
  const marked = new Set(front.map(keyOf));
  const mark = (run_id: string, points: readonly PlanePoint[]): PlanePoint[] =>
    points.map((point) => ({ ...point, is_on_front: marked.has(keyOf({ run_id, ...point })) }));
  return {
    object: 'experiment.frontier',
    metric,
    rows,
    x: { title: `learned: ${facts.title} better than the base, ${rows} rows`, unit: facts.unit },
    y: { title: 'kept: source rows against the base', unit: 'bits per byte' },
    runs: drawn.map((run) => ({ ...run, points: mark(run.run_id, run.points), dial: mark(run.run_id, run.dial) })),
    front,
    left_out: placed.flatMap((one) => ('reason' in one ? [one] : [])),
    gauge: klGauge(outcome),
  };
}

const keyOf = ({ run_id, step, lambda }: { run_id: string | null; step: number; lambda: number }): string =>
  `${run_id} ${step} ${lambda}`;

const baseScore = (run: RunOutcome, metric: ResultMetric, use: Use): number | null => {
  const base = baseOf(run);
  return base === null ? null : targetScore(base, metric, use);
};

function placeRun(
  arm: OutcomeArm,
  run: RunOutcome,
  metric: ResultMetric,
  rows: Use,
): { place: ExperimentFrontier['runs'][number] } | { run_id: string; reason: string } {
  const { run_id, seed, status } = run;
  const base = baseOf(run);
  const score = baseScore(run, metric, rows);
  const refuse = (reason: string) => ({ run_id, reason });
  if (base === null || score === null) return refuse(`the base was not scored: no ${metric} of ${rows} rows at step 0`);
  if (forgottenOf(base, base) === null) return refuse('no bits per byte of source rows at step 0');
  const placeOf = (model: Candidate): PlanePoint[] => {
    const value = targetScore(model, metric, rows);
    const forgotten = forgottenOf(model, base);
    if (value === null || forgotten === null) return [];
    const gain = METRIC_FACTS[metric].isLowerBetter ? score - value : value - score;
    // Not −0, which is another number in JSON's eyes than in a reader's.
    return [{ step: model.step, lambda: model.lambda, x: gain, y: 0 - forgotten, is_on_front: false }];
  };
  const points = candidatesOf({ ...run, dial: [] }).flatMap(placeOf);
  const dial = candidatesOf(run)
    .slice(run.points.length)
    .toSorted((a, b) => a.lambda - b.lambda)
    .flatMap(placeOf);
  if (points.every(({ step }) => step === 0)) return refuse('no checkpoint has both scores yet');
  return { place: { run_id, arm: arm.name, label: arm.label, color: arm.color, seed, status, points, dial } };
}
