import type { ExperimentOutcome, RunOutcome } from './outcome.js';
import { chooseShare, targetScore } from './results/scores.js';
import type { ExperimentSpec } from './spec.js';

/** A run on its way back to the base, W0 + λ(W − W0) or the method's own path there, to be scored on the rows of a file. */
export interface DialScore {
  /** Null: the base itself, at `lambda` 0. */
  run_id: string | null;
  lambda: number;
  file_id: string;
}

/** What of an experiment decides what is scored. */
export interface DialSpec extends Pick<ExperimentSpec, 'lambdas'> {
  evaluation: Pick<ExperimentSpec['evaluation'], 'validation' | 'test' | 'source'>;
}

/**
 * What is still to be scored of the final runs at the shares of `lambdas`: first all of them on validation and source rows; once those are known, test rows
 * at the share that validation rows choose for each arm, over its seeds. Pure, as `nextStep` is. Empty where nothing is left, or where no share is asked for.
 */
export function nextDial({ runs }: ExperimentOutcome, { lambdas, evaluation }: DialSpec): DialScore[] {
  const finals = runs.filter(isWhole);
  const { validation, test, source } = evaluation;
  const chosenBy = [validation, ...source];
  const first = finals.flatMap((run) => lambdas.flatMap((lambda) => missing(run, lambda, chosenBy)));
  if (first.length > 0 || test === undefined) return first;
  return chosenShares(finals, lambdas).flatMap(({ run, lambda }) => (lambda === 1 ? [] : missing(run, lambda, [test])));
}

/** Seeds from which on an interval is over them; with fewer it is over the items of one model. */
const SEEDS_FOR_INTERVAL = 3;

/** Whether what an experiment reports has no interval over its seeds, so that test rows are scored item by item. */
export const countsItems = ({ seeds, evaluation }: ItemSpec): boolean =>
  evaluation.test !== undefined && new Set(seeds.final).size < SEEDS_FOR_INTERVAL;

/** What of an experiment decides whether items are scored. */
export interface ItemSpec extends DialSpec {
  seeds: { final: readonly number[] };
}

/**
 * What an interval over items is of, where there are too few seeds for one over them: test rows of each final run at the share that `nextDial` ends with, and of the base. Pure; all of
 * it however much there is already.
 */
export function itemScores({ runs }: ExperimentOutcome, spec: ItemSpec): DialScore[] {
  const { test } = spec.evaluation;
  if (test === undefined || !countsItems(spec)) return [];
  const tuned = chosenShares(runs.filter(isWhole), spec.lambdas).map(({ run, lambda }) => {
    return { run_id: run.run_id, lambda, file_id: test };
  });
  return tuned.length === 0 ? [] : [{ run_id: null, lambda: 0, file_id: test }, ...tuned];
}

const isWhole = ({ phase, status, verdict }: RunOutcome): boolean =>
  phase === 'final' && status === 'succeeded' && verdict === null;

/** Final runs with the share that validation rows choose for the arm of each. */
const chosenShares = (
  finals: readonly RunOutcome[],
  lambdas: readonly number[],
): { run: RunOutcome; lambda: number }[] =>
  [...new Set(finals.map(({ arm }) => arm))].flatMap((arm) => {
    const ofArm = finals.filter((run) => run.arm === arm);
    const lambda = chooseShare(ofArm, lambdas, (model) => targetScore(model, 'loss', 'validation'));
    return ofArm.map((run) => ({ run, lambda }));
  });

const missing = ({ run_id, dial }: RunOutcome, lambda: number, files: readonly string[]): DialScore[] => {
  const scored = dial.find((one) => one.lambda === lambda)?.scores ?? [];
  const left = [...new Set(files)].filter((file) => !scored.some(({ file_id }) => file_id === file));
  return left.map((file_id) => ({ run_id, lambda, file_id }));
};
