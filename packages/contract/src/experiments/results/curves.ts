import { meanInterval } from '../../stats/index.js';
import type { ExperimentOutcome, RunOutcome } from '../outcome.js';
import { type CurvePanel, type ExperimentCurves, METRICS } from './objects.js';
import { baseOf, type Candidate, candidatesOf, forgottenOf, METRIC_FACTS, targetScore } from './scores.js';
import { experimentTable } from './table.js';

/** What is drawn over steps: validation rows, what was forgotten, and how far the model is from its base. */
type Quantity = CurvePanel['quantity'];
type Read = (model: Candidate, base: Candidate | null) => number | null;
const QUANTITIES: readonly { quantity: Quantity; title: string; unit: string; read: Read }[] = [
  ...METRICS.map((metric) => ({
    quantity: metric,
    title: `${METRIC_FACTS[metric].title}, validation rows`,
    unit: METRIC_FACTS[metric].unit,
    read: ((model) => targetScore(model, metric, 'validation')) satisfies Read,
  })),
  { quantity: 'kept', title: 'forgotten: source rows against the base', unit: 'bits per byte', read: forgottenOf },
  { quantity: 'kl', title: 'KL(p_base ‖ q), task tokens', unit: 'nats a token', read: ({ kl }) => kl },
];

/** Scores over the steps of the final runs, a line a seed with the mean and its band; and validation loss over the rates of the search. Runs that still go on are in it. */
export function experimentCurves(outcome: ExperimentOutcome): ExperimentCurves {
  const { rows } = experimentTable(outcome);
  return {
    object: 'experiment.curves',
    panels: QUANTITIES.flatMap(({ quantity, title, unit, read }) => {
      const arms = outcome.arms.flatMap(({ name, label, color }) => {
        const rate = rows.find(({ arm }) => arm === name)?.learning_rate ?? null;
        const runs = outcome.runs
          .filter((run) => run.arm === name && run.phase === 'final' && run.learning_rate === rate)
          .toSorted((a, b) => a.seed - b.seed || (a.run_id < b.run_id ? -1 : 1))
          .map((run) => ({ run_id: run.run_id, seed: run.seed, points: pointsOf(run, read) }))
          .filter(({ points }) => points.length > 0);
        return runs.length === 0 ? [] : [{ arm: name, label, color, runs, mean: meanOf(runs) }];
      });
      return arms.length === 0 ? [] : [{ quantity, title, unit, arms }];
    }),
    rates: rows
      .filter((row) => row.rates.length > 0)
      .map(({ arm, label, color, learning_rate, is_bracketed, rates }) => ({
        arm,
        label,
        color,
        learning_rate,
        is_bracketed,
        points: rates.map((one) => ({ ...one, is_chosen: one.learning_rate === learning_rate })),
      })),
  };
}

function pointsOf(run: RunOutcome, read: Read): { step: number; value: number }[] {
  const base = baseOf(run);
  return candidatesOf({ ...run, dial: [] }).flatMap((model) => {
    const value = read(model, base);
    return value === null || !Number.isFinite(value) ? [] : [{ step: model.step, value }];
  });
}

/** At the steps that every run has. */
function meanOf(runs: readonly { points: readonly { step: number; value: number }[] }[]) {
  const [first] = runs;
  return (first?.points ?? []).flatMap(({ step }) => {
    const values = runs.flatMap(({ points }) => points.filter((one) => one.step === step).map(({ value }) => value));
    return values.length < runs.length ? [] : [{ step, ...meanInterval(values) }];
  });
}
