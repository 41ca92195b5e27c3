import { describe, expect, test } from 'vitest';
import {
  type ArmPlan,
  type ArmSearch,
  type Cell,
  type CellOutcome,
  cellKey,
  firstRates,
  nextStep,
  searchStep,
} from '../../src/experiments/index.js';

const bracket = (changes: Partial<Extract<ArmSearch, { type: 'bracket' }>> = {}): ArmSearch => ({
  type: 'bracket',
  start: 1e-3,
  factor: 2,
  max_runs: 9,
  ...changes,
});
const seeds = { search: 1, final: [2, 3] };

/** Runs every cell that is planned until nothing is, with the loss of a rate as the outcome; null diverges. */
function runAll(arms: ArmPlan[], lossAt: (cell: Cell) => number | null, before: readonly CellOutcome[] = []) {
  const outcomes = [...before];
  for (let round = 0; round < 40; round += 1) {
    const step = nextStep(arms, seeds, outcomes);
    if (step.start.length === 0) return { step, outcomes };
    for (const cell of step.start) {
      const score = lossAt(cell);
      outcomes.push({ ...cell, state: score === null ? 'diverged' : 'ended', score });
    }
  }
  throw new Error('it goes on for ever');
}
/** A loss with its least value at a rate, worse by one a factor of two. */
const valley = (best: number) => (cell: Cell) => 2 + Math.abs(Math.log2(cell.learning_rate / best));
const ratesOf = (outcomes: readonly CellOutcome[], arm = 'a'): number[] =>
  outcomes.filter((one) => one.arm === arm && one.phase === 'search').map((one) => one.learning_rate);

describe('a bracket search', () => {
  test('tries the start and a neighbour on each side, all at once', () => {
    const { start, status } = nextStep([{ name: 'a', search: bracket() }], seeds, []);
    expect(start.map(cellKey)).toEqual(['a/search/0.0005/1', 'a/search/0.001/1', 'a/search/0.002/1']);
    expect(status).toBe('running');
  });

  test.each([
    ['in the middle', 1e-3, [5e-4, 1e-3, 2e-3]],
    ['three steps up', 8e-3, [5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 0.016]],
    ['two steps down', 2.5e-4, [5e-4, 1e-3, 2e-3, 2.5e-4, 1.25e-4]],
  ])('goes on until the optimum, %s, has a worse neighbour on both sides', (_where, best, tried) => {
    const { step, outcomes } = runAll([{ name: 'a', search: bracket() }], valley(best));
    expect(ratesOf(outcomes)).toEqual(tried);
    expect(step).toMatchObject({ status: 'succeeded', arms: [{ learning_rate: best, is_bracketed: true }] });
    expect(
      outcomes.filter(({ phase }) => phase === 'final').map(({ seed, learning_rate }) => [seed, learning_rate]),
    ).toEqual([
      [2, best],
      [3, best],
    ]);
  });

  test('stops at its bound and says that the optimum is at the edge', () => {
    const { step, outcomes } = runAll([{ name: 'a', search: bracket({ max_runs: 5 }) }], valley(1));
    expect(ratesOf(outcomes)).toHaveLength(5);
    expect(step.arms[0]).toMatchObject({ learning_rate: 8e-3, is_bracketed: false, phase: 'done' });
    expect(step.arms[0]?.note).toBe(
      '0.008 is the best of 5 rates from 0.0005 to 0.008, at the edge: no larger one was tried',
    );
  });

  test('goes on on both sides of rates that tie, within its bound', () => {
    const flat = runAll([{ name: 'a', search: bracket({ max_runs: 6 }) }], () => 2);
    expect(ratesOf(flat.outcomes)).toEqual([5e-4, 1e-3, 2e-3, 2.5e-4, 4e-3, 1.25e-4]);
    expect(flat.step.arms[0]).toMatchObject({ is_bracketed: false });
    const plateau = runAll([{ name: 'a', search: bracket() }], ({ learning_rate: rate }) =>
      rate > 6e-4 && rate < 3e-3 ? 1 : 2,
    );
    expect(ratesOf(plateau.outcomes)).toEqual([5e-4, 1e-3, 2e-3, 4e-3]);
    expect(plateau.step.arms[0]).toMatchObject({ learning_rate: 1e-3, is_bracketed: false });
    expect(plateau.step.arms[0]?.note).toContain('a neighbour is not worse');
  });

  test('takes a run that diverged for worse than any', () => {
    const { step, outcomes } = runAll([{ name: 'a', search: bracket() }], (cell) =>
      cell.learning_rate >= 1e-3 ? null : valley(5e-4)(cell),
    );
    expect(ratesOf(outcomes)).toEqual([5e-4, 1e-3, 2e-3, 2.5e-4]);
    expect(step.arms[0]).toMatchObject({ learning_rate: 5e-4, is_bracketed: true });
  });

  test('goes down while every run diverges, and fails where all did', () => {
    const { step, outcomes } = runAll([{ name: 'a', search: bracket({ max_runs: 5 }) }], () => null);
    expect(ratesOf(outcomes)).toEqual([5e-4, 1e-3, 2e-3, 2.5e-4, 1.25e-4]);
    expect(step).toMatchObject({
      status: 'failed',
      reason: 'a: every run diverged, at 5 rates from 0.000125 to 0.002',
    });
  });

  test('tries no rate above the largest that a run takes', () => {
    const { step, outcomes } = runAll(
      [{ name: 'a', search: bracket({ start: 4, factor: 3 }) }],
      (cell) => 1 / cell.learning_rate,
    );
    expect(ratesOf(outcomes)).toEqual([1.333, 4]);
    expect(step.arms[0]).toMatchObject({ learning_rate: 4, is_bracketed: false });
  });

  test('meets its own rates again after many steps up and down', () => {
    const search = bracket({ start: 3.7e-4, factor: 1.7, max_runs: 50 });
    const up = runAll([{ name: 'a', search }], valley(0.3));
    const rates = ratesOf(up.outcomes).sort((a, b) => a - b);
    expect(new Set(rates).size).toBe(rates.length);
    for (const [i, rate] of rates.slice(1).entries()) expect(rate / (rates[i] ?? 0)).toBeCloseTo(1.7, 2);
  });
});

describe('what is started', () => {
  const arms = [
    { name: 'a', search: bracket() },
    { name: 'b', search: bracket() },
  ];

  test('nothing while runs that decide are active; other arms do not wait', () => {
    const { outcomes } = runAll([arms[0] as ArmPlan], valley(1e-3));
    const waiting: CellOutcome[] = [5e-4, 1e-3, 2e-3].map((learning_rate) => {
      return { arm: 'b', phase: 'search', learning_rate, seed: 1, state: 'active', score: null };
    });
    const step = nextStep(arms, seeds, [...outcomes.filter(({ phase }) => phase === 'search'), ...waiting]);
    expect(step.start.map(cellKey)).toEqual(['a/final/0.001/2', 'a/final/0.001/3']);
    expect(step.arms.map(({ phase }) => phase)).toEqual(['final', 'search']);
  });

  test('is the same from any state that a kill leaves: every prefix of the runs leads to the same cells', () => {
    const whole = runAll(arms, valley(4e-3));
    const keys = whole.outcomes.map(cellKey).sort();
    for (let kept = 0; kept <= whole.outcomes.length; kept += 1) {
      const again = runAll(arms, valley(4e-3), whole.outcomes.slice(0, kept));
      expect(again.outcomes.map(cellKey).sort()).toEqual(keys);
      expect(again.step).toEqual(whole.step);
    }
  });

  test('seeds that come later are run at the rate that was chosen, and nothing again', () => {
    const { outcomes } = runAll(arms, valley(2e-3));
    const step = nextStep(arms, { search: 1, final: [2, 3, 9] }, outcomes);
    expect(step.start.map(cellKey)).toEqual(['a/final/0.002/9', 'b/final/0.002/9']);
    expect(step.status).toBe('running');
  });

  test('an arm that comes later starts its search, and earlier ones nothing', () => {
    const { outcomes } = runAll(arms, valley(2e-3));
    const step = nextStep(
      [...arms, { name: 'c', search: { type: 'grid', learning_rates: [1e-2, 1e-3] } }],
      seeds,
      outcomes,
    );
    expect(step.start.map(cellKey)).toEqual(['c/search/0.001/1', 'c/search/0.01/1']);
  });

  test('a search that may try more goes on at the edge where its bound left it', () => {
    const { outcomes } = runAll([{ name: 'a', search: bracket({ max_runs: 3 }) }], valley(4e-3));
    const more = runAll([{ name: 'a', search: bracket({ max_runs: 9 }) }], valley(4e-3), outcomes);
    expect(ratesOf(more.outcomes)).toEqual([5e-4, 1e-3, 2e-3, 4e-3, 8e-3]);
    expect(more.step.arms[0]).toMatchObject({ learning_rate: 4e-3, is_bracketed: true });
  });
});

describe('a run that failed', () => {
  const arms = [
    { name: 'a', search: bracket() },
    { name: 'b', search: bracket() },
  ];
  const failed: CellOutcome = {
    ...{ arm: 'a', phase: 'search', learning_rate: 1e-3, seed: 1, state: 'failed', score: null },
    reason: 'ftjob-1 ran out of memory',
  };

  test('stops its arm; the others go to their end, and then the experiment has failed for that reason', () => {
    const { step, outcomes } = runAll(arms, valley(1e-3), [failed]);
    expect(outcomes.filter(({ arm }) => arm === 'a')).toEqual([failed]);
    expect(step).toMatchObject({ status: 'failed', reason: 'a: ftjob-1 ran out of memory' });
    expect(step.arms.map(({ phase }) => phase)).toEqual(['failed', 'done']);
  });

  test('taken out of the outcomes is run again', () => {
    const { outcomes } = runAll(arms, valley(1e-3), [failed]);
    const { step } = runAll(
      arms,
      valley(1e-3),
      outcomes.filter((one) => one !== failed),
    );
    expect(step.status).toBe('succeeded');
  });
});

describe('other searches', () => {
  test('a grid tries its rates once each and takes the best, at an edge too', () => {
    const search: ArmSearch = { type: 'grid', learning_rates: [1e-2, 1e-3, 1e-2, 1e-4] };
    expect(firstRates(search)).toEqual([1e-4, 1e-3, 1e-2]);
    const { step, outcomes } = runAll([{ name: 'a', search }], valley(1));
    expect(ratesOf(outcomes)).toEqual([1e-4, 1e-3, 1e-2]);
    expect(step.arms[0]).toMatchObject({ learning_rate: 1e-2, is_bracketed: false });
  });

  test('one rate is taken without a search', () => {
    const { step, outcomes } = runAll([{ name: 'a', search: { type: 'grid', learning_rates: [1e-3] } }], valley(1));
    expect(outcomes.map(cellKey)).toEqual(['a/final/0.001/2', 'a/final/0.001/3']);
    expect(step.arms[0]).toMatchObject({ phase: 'done', note: '0.001 was given, and no other one tried' });
  });

  test('random rates are the same for the same seed, inside their ends, evenly in the logarithm', () => {
    const search: ArmSearch = { type: 'random', min: 1e-5, max: 1e-1, runs: 100, seed: 7 };
    const rates = firstRates(search);
    expect(firstRates(search)).toEqual(rates);
    expect(firstRates({ ...search, seed: 8 })).not.toEqual(rates);
    expect(rates.every((rate) => rate >= 1e-5 && rate <= 1e-1)).toBe(true);
    const below = rates.filter((rate) => rate < 1e-3).length;
    expect(below).toBeGreaterThan(35);
    expect(below).toBeLessThan(65);
    expect(searchStep(search, [])).toEqual({ is: 'open', start: rates });
  });
});
