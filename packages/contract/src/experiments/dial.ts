import type { ExperimentOutcome, FileScores, RunOutcome } from './outcome.js';
import { resultOf } from './results/scores.js';
import type { ExperimentSpec } from './spec.js';

/** A run on its way back to the base, W0 + λ(W − W0) or the method's own path there, to be scored on the rows of a file. */
export interface DialScore {
  run_id: string;
  lambda: number;
  file_id: string;
}

/** What of an experiment decides what is scored. */
interface DialSpec extends Pick<ExperimentSpec, 'lambdas'> {
  evaluation: Pick<ExperimentSpec['evaluation'], 'validation' | 'test' | 'source'>;
}

/**
 * What is still to be scored of the final runs at the shares of `lambdas`: first all of them on validation and source rows; once those are known, test rows
 * at the share that validation rows choose for each arm, over its seeds. Pure, as `nextStep` is. Empty where nothing is left, or where no share is asked for.
 */
export function nextDial({ runs }: ExperimentOutcome, { lambdas, evaluation }: DialSpec): DialScore[] {
  const finals = runs.filter(
    ({ phase, status, verdict }) => phase === 'final' && status === 'succeeded' && verdict === null,
  );
  const { validation, test, source } = evaluation;
  const chosenBy = [validation, ...source];
  const first = finals.flatMap((run) => lambdas.flatMap((lambda) => missing(run, lambda, chosenBy)));
  if (first.length > 0 || test === undefined) return first;
  return [...new Set(finals.map(({ arm }) => arm))].flatMap((arm) => {
    const ofArm = finals.filter((run) => run.arm === arm);
    const lambda = chooseLambda(ofArm, lambdas);
    return lambda === 1 ? [] : ofArm.flatMap((run) => missing(run, lambda, [test]));
  });
}

const missing = ({ run_id, dial }: RunOutcome, lambda: number, files: readonly string[]): DialScore[] => {
  const scored = dial.find((one) => one.lambda === lambda)?.scores ?? [];
  const left = [...new Set(files)].filter((file) => !scored.some(({ file_id }) => file_id === file));
  return left.map((file_id) => ({ run_id, lambda, file_id }));
};

/** The share of the least validation loss, mean over the runs; of equal ones the largest, which learned most. */
function chooseLambda(runs: readonly RunOutcome[], lambdas: readonly number[]): number {
  const lossAt = (lambda: number): number =>
    runs.reduce((sum, run) => sum + (validationLoss(scoresAt(run, lambda)) ?? Number.POSITIVE_INFINITY), 0);
  const [best = 1] = [1, ...lambdas].toSorted((a, b) => (lossAt(a) === lossAt(b) ? b - a : lossAt(a) - lossAt(b)));
  return best;
}

const scoresAt = (run: RunOutcome, lambda: number): readonly FileScores[] =>
  (lambda === 1 ? resultOf(run) : run.dial.find((one) => one.lambda === lambda))?.scores ?? [];

const validationLoss = (scores: readonly FileScores[]): number | null => {
  const loss = scores.find(({ use, role }) => use === 'validation' && role === 'target')?.loss ?? null;
  return loss !== null && Number.isFinite(loss) ? loss : null;
};
