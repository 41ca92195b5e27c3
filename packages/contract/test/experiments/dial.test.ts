import { describe, expect, test } from 'vitest';
import {
  type DialScore,
  type ExperimentOutcome,
  itemScores,
  nextDial,
  type RunOutcome,
} from '../../src/experiments/index.js';
import { arm, dial, experiment, finals, point, run, search } from './outcomes.js';

// As outcomes.ts names files by what they are.
const evaluation = {
  validation: 'file-target-validation',
  test: 'file-target-test',
  source: ['file-source-test'],
};
const next = (runs: RunOutcome[], lambdas = [0.5, 0.75], changes: Partial<typeof evaluation> = {}) => {
  const outcome: ExperimentOutcome = experiment([arm('lora'), arm('mora')], runs);
  return nextDial(outcome, { lambdas, evaluation: { ...evaluation, ...changes } });
};
const shown = (scores: DialScore[]): string[] =>
  scores.map(({ run_id, lambda, file_id }) => `${run_id} ${lambda} ${file_id}`);

describe('the way back to the base', () => {
  test('is scored of every final run that ended well, on the rows that choose and those that should be kept', () => {
    const runs = [
      ...search('lora'),
      ...finals('lora', [1, 1.2]),
      run('mora', { status: 'running' }),
      run('mora', { verdict: 'nan_loss' }),
    ];
    const [a, b] = runs.slice(3).map(({ run_id }) => run_id);
    const files = ['file-target-validation', 'file-source-test'];
    expect(shown(next(runs))).toEqual(
      [a, b].flatMap((id) => [0.5, 0.75].flatMap((lambda) => files.map((file) => `${id} ${lambda} ${file}`))),
    );
    expect(next(runs, [])).toEqual([]);
  });

  test('asks for what is missing alone', () => {
    const [one] = finals('lora', [1]);
    const half = { ...(one as RunOutcome), dial: [dial(0.5, { valid: 0.8 })] };
    expect(shown(next([half], [0.5]))).toEqual([`${half.run_id} 0.5 file-source-test`]);
  });

  /** Runs of an arm whose validation losses at ½ and ¾ are known. */
  const dialled = (name: string, losses: [half: number, most: number][]): RunOutcome[] =>
    finals(
      name,
      losses.map(() => 1),
    ).map((one, i) => ({
      ...one,
      dial: [
        dial(0.5, { valid: losses[i]?.[0] ?? 0, source: 2.1 }),
        dial(0.75, { valid: losses[i]?.[1] ?? 0, source: 2.2 }),
      ],
    }));

  test('looks at test rows once, at the share that validation rows choose for each arm over its seeds', () => {
    // The end of each run has the validation loss 0.9. Means: lora 0.85 at ½ and 0.75 at ¾; mora 0.95 and 1, so it stays at 1, whose test rows the run saw.
    const lora = dialled('lora', [
      [0.7, 0.8],
      [1, 0.7],
    ]);
    const mora = dialled('mora', [
      [0.95, 1],
      [0.95, 1],
    ]);
    expect(shown(next([...lora, ...mora]))).toEqual(lora.map(({ run_id }) => `${run_id} 0.75 file-target-test`));
    const tested = lora.map((one) => ({
      ...one,
      dial: one.dial.map((at) => (at.lambda === 0.75 ? dial(0.75, { valid: 0.75, source: 2.2, test: 0.9 }) : at)),
    }));
    expect(next([...tested, ...mora])).toEqual([]);
  });

  test('starts at the result of a run, wherever its last step came to', () => {
    const [last] = dialled('lora', [[0.8, 0.8]]) as [RunOutcome];
    // The validation loss is 0.7 at step 50, which is the result, and 0.9 at the last: the whole update is the best share.
    const early = { ...last, result_step: 50, points: [...last.points, point(50, { valid: 0.7 })] };
    expect(next([last]).map(({ lambda }) => lambda)).toEqual([0.75]);
    expect(next([early])).toEqual([]);
  });

  test('takes of equal shares the one that learned most, and none where a loss is no number', () => {
    const equal = dialled('lora', [[0.8, 0.8]]);
    expect(next(equal).map(({ lambda }) => lambda)).toEqual([0.75]);
    const none = dialled('lora', [[Number.NaN, Number.NaN]]);
    expect(next(none)).toEqual([]);
  });

  test('ends with the items of test rows, at the share that was chosen, where too few seeds give an interval', () => {
    const lora = dialled('lora', [[0.7, 0.8]]);
    const mora = dialled('mora', [[0.95, 1]]);
    const outcome = experiment([arm('lora'), arm('mora')], [...search('lora'), ...lora, ...mora]);
    const itemsOf = (final: number[], changes = {}) =>
      itemScores(outcome, { lambdas: [0.5, 0.75], evaluation: { ...evaluation, ...changes }, seeds: { final } });
    expect(shown(itemsOf([2]))).toEqual([
      'null 0 file-target-test',
      `${lora[0]?.run_id} 0.5 file-target-test`,
      `${mora[0]?.run_id} 1 file-target-test`,
    ]);
    expect(itemsOf([2, 3])).toHaveLength(3);
    expect(itemsOf([2, 3, 4])).toEqual([]);
    expect(itemsOf([2], { test: undefined })).toEqual([]);
  });

  test('has no second part without test rows', () => {
    const lora = dialled('lora', [[0.5, 0.6]]);
    expect(next(lora, [0.5, 0.75], { test: undefined as never })).toEqual([]);
  });
});
