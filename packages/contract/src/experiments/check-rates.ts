import type { ComparedArm, ComparedRun, NotComparable } from './comparison.js';

/** What of an arm its rates are compared by; runs that say nothing of their rate are not among them. */
export type RatedArm = Pick<ComparedArm, 'name' | 'learningRate'> & { runs: readonly RatedRun[] };
type RatedRun = Pick<ComparedRun, 'seed' | 'learningRate' | 'score' | 'stoppedAt' | 'scores'>;

/** Why an arm's rate is not shown to be its best: at an end of the grid, or beside a rate that is not worse. */
export function checkRates(arm: RatedArm, lowerIsBetter: boolean): NotComparable[] {
  const rates = [...new Set(arm.runs.map((run) => run.learningRate))].sort((a, b) => a - b);
  const at = rates.indexOf(arm.learningRate);
  const refuse = (sentence: string): NotComparable => ({ factor: 'learning_rate', arms: [arm.name], sentence });
  if (at < 0) return [refuse(`${arm.name} has no run at its learning rate ${arm.learningRate}`)];
  const sides = [
    { side: 'smaller', rate: rates[at - 1] },
    { side: 'larger', rate: rates[at + 1] },
  ];
  return sides.flatMap(({ side, rate }) => {
    if (rate === undefined)
      return [
        refuse(
          `the learning rate of ${arm.name}, ${arm.learningRate}, lies at the edge of its grid: no ${side} one was tried`,
        ),
      ];
    if (isWorse(arm, rate, lowerIsBetter)) return [];
    return [
      refuse(`${arm.name} was not worse at the ${side} learning rate ${rate} than at its own, ${arm.learningRate}`),
    ];
  });
}

/**
 * Whether the arm did worse at another rate, over the seeds that both rates have. A run that diverged is worse than any that did not; with one that was stopped early the
 * other is compared at the step of that, never at two steps.
 */
function isWorse(arm: RatedArm, rate: number, lowerIsBetter: boolean): boolean {
  const at = (value: number): RatedRun[] => arm.runs.filter((run) => run.learningRate === value);
  const [own, other] = [at(arm.learningRate), at(rate)];
  const pairs = own.flatMap((run) =>
    other.filter(({ seed }) => seed === run.seed).map((beside) => [run, beside] as const),
  );
  // A score that is missing counts as the worst there is, in sums too.
  const lossOf = (run: RatedRun, step: number): number => {
    const score = step === Number.POSITIVE_INFINITY ? run.score : scoreAt(run, step);
    return score === null || !Number.isFinite(score) ? Number.POSITIVE_INFINITY : lowerIsBetter ? score : -score;
  };
  const sum = (side: 0 | 1): number => pairs.reduce((total, pair) => total + lossOf(pair[side], sharedStep(pair)), 0);
  return pairs.length > 0 && sum(1) > sum(0);
}

/** The step at which the first of two runs was stopped; infinite where neither was. */
const sharedStep = (pair: readonly RatedRun[]): number =>
  Math.min(...pair.map(({ stoppedAt = Number.POSITIVE_INFINITY }) => stoppedAt));

const scoreAt = ({ scores = [] }: RatedRun, step: number): number | null =>
  scores.find((one) => one.step === step)?.score ?? null;
