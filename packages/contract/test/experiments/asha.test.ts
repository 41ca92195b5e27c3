import { describe, expect, test } from 'vitest';

import {
  type AshaSearch,
  ashaStep,
  type CellOutcome,
  experimentTable,
  firstRates,
  nextStep,
  planRungs,
  promotions,
  type RungRun,
  rungRuns,
  rungsOf,
} from '../../src/experiments/index.js';
import { createRandom } from '../../src/random.js';
import { experiment, arm as outcomeArm, point, run } from './outcomes.js';

// What is expected is counted by hand from Algorithm 2 of arXiv:1810.05934.
const RUNGS = [8, 24, 72];
const search = (changes: Partial<AshaSearch> = {}): AshaSearch => ({
  type: 'asha',
  min: 1e-4,
  max: 1e-2,
  runs: 9,
  seed: 1,
  eta: 3,
  rungs: RUNGS,
  ...changes,
});

/** Runs that wait at the first rung, at rates 1, 2, 3, … */
const held = (...losses: (number | null)[]): RungRun[] =>
  losses.map((loss, at) => ({ rate: at + 1, state: 'held', to: 8, scores: [{ step: 8, loss }] }));
/** The same run at the next rung. */
const at24 = (run: RungRun | undefined, loss: number | null, changes: Partial<RungRun> = {}): RungRun => ({
  rate: run?.rate ?? 0,
  state: 'held',
  to: 24,
  scores: [...(run?.scores ?? []), { step: 24, loss }],
  ...changes,
});
const ratesOf = (runs: readonly RungRun[]): number[] => promotions(search(), runs).map(({ rate }) => rate);

describe('the rule of promotion', () => {
  test.each<[string, RungRun[], number[]]>([
    ['nobody goes on before eta runs have come', held(3, 1), []],
    ['the best of three goes on, without waiting for the others', held(3, 1, 2), [2]],
    ['one of five: a third is rounded down', held(5, 4, 3, 2, 1), [5]],
    ['two of six, the better first', held(6, 1, 5, 2, 4, 3), [2, 4]],
    ['of equal losses the earlier one', held(2, 1, 1), [2]],
    ['a loss that is no number is the worst and never goes on', held(null, null, null), []],
    ['and takes its place in the count', held(null, 2, null), [2]],
    ['one that is no longer there is counted and not promoted again', [at24(held(1)[0], 1), ...held(2, 3)], []],
    [
      'one that diverged on the way counts as the worst of the rung that it was on the way to',
      [...held(2, 1), { rate: 9, state: 'diverged', to: 8, scores: [] }],
      [2],
    ],
    [
      'so does one that failed, whatever it scored there',
      [...held(2, 1), { rate: 9, state: 'failed', to: 8, scores: [{ step: 8, loss: 0 }] }],
      [2],
    ],
    [
      'one that is on the way to a rung has not come to it',
      [...held(2, 1), { rate: 9, state: 'active', to: 8, scores: [] }],
      [],
    ],
    [
      'one that was stopped counts and does not go on',
      [...held(2, 3), { ...held(1)[0], rate: 9, state: 'stopped' } as RungRun],
      [],
    ],
  ])('%s', (_what, runs, rates) => expect(ratesOf(runs)).toEqual(rates));

  test('looks at each rung by its own scores, the highest first', () => {
    const first = held(1, 2, 3, 9, 9, 9, 9, 9, 9, 9, 9, 4);
    // The best at step 8 is the worst at step 24.
    const second = [at24(first[0], 30), at24(first[1], 20), at24(first[2], 10)];
    expect(promotions(search(), [...second, ...first.slice(3)])).toEqual([
      { rate: 3, from: 24, to: 72 },
      { rate: 12, from: 8, to: 24 },
    ]);
  });
});

test.each<[number, number | undefined, number, number[]]>([
  [3, undefined, 72, [8, 24, 72]],
  [3, 1, 81, [1, 3, 9, 27, 81]],
  [4, 10, 100, [25, 100]],
  [2, undefined, 50, [13, 25, 50]],
  [3, 40, 100, [100]],
  [3, 1, 3, [1, 3]],
])('rungs of eta %i from %s steps below %i', (eta, min_steps, steps, rungs) => {
  expect(rungsOf({ eta, min_steps }, steps)).toEqual(rungs);
});

describe('a search by rungs', () => {
  const arm = (changes: Partial<AshaSearch> = {}) => ({ name: 'a', search: search(changes) });
  const seeds = { search: 1, final: [2] };

  /** Lives through a search: one worker, which takes what was promoted before what has not begun. `lossAt` null: it diverges there. */
  function climb(lossAt: (rate: number, step: number) => number | null, changes: Partial<AshaSearch> = {}) {
    const outcomes: CellOutcome[] = [];
    const history: string[] = [];
    for (let round = 0; round < 100; round += 1) {
      const step = nextStep([arm(changes)], seeds, outcomes);
      // Asked again with the same results it says the same, so a kill loses nothing.
      expect(nextStep([arm(changes)], seeds, [...outcomes])).toEqual(step);
      for (const { cell } of step.stop) Object.assign(find(cell.learning_rate), { state: 'stopped' });
      const [promotion] = step.promote;
      const cell = promotion?.cell ?? step.start[0];
      if (!cell) return { step, outcomes, history };
      if (cell.phase === 'final') {
        outcomes.push({ ...cell, state: 'ended', score: 1 });
        continue;
      }
      const to = promotion?.to ?? (changes.rungs ?? RUNGS)[0] ?? 0;
      const loss = lossAt(cell.learning_rate, to);
      history.push(`${cell.learning_rate}@${to}`);
      const before = outcomes.find((one) => one.learning_rate === cell.learning_rate);
      const outcome = before ?? { ...cell, state: 'active' as const, score: null, rungs: [] };
      if (!before) outcomes.push(outcome);
      const isLast = to === (changes.rungs ?? RUNGS).at(-1);
      const state = loss === null ? 'diverged' : isLast ? 'ended' : 'held';
      const rungs = loss === null ? outcome.rungs : [...(outcome.rungs ?? []), { step: to, loss }];
      Object.assign(outcome, { state, to, rungs, score: isLast ? loss : null });
    }
    throw new Error('it goes on for ever');

    function find(rate: number): CellOutcome {
      const found = outcomes.find((one) => one.learning_rate === rate);
      if (!found) throw new Error(`no run at ${rate}`);
      return found;
    }
  }
  const valley = (best: number) => (rate: number, step: number) => 2 + Math.abs(Math.log2(rate / best)) + 1 / step;

  test('tries every drawn rate, brings the best to the last step and stops the others where they are', () => {
    const { step, outcomes } = climb(valley(1e-3));
    expect(step).toMatchObject({ status: 'succeeded', arms: [{ phase: 'done', is_bracketed: true }] });
    const searched = outcomes.filter(({ phase }) => phase === 'search');
    expect(searched).toHaveLength(9);
    expect(new Set(searched.map(({ state }) => state))).toEqual(new Set(['ended', 'stopped']));
    const nearest = searched.toSorted(
      (a, b) => valley(1e-3)(a.learning_rate, 72) - valley(1e-3)(b.learning_rate, 72),
    )[0];
    expect(step.arms[0]?.learning_rate).toBe(nearest?.learning_rate);
    expect(outcomes.filter(({ phase }) => phase === 'final').map(({ learning_rate }) => learning_rate)).toEqual([
      nearest?.learning_rate,
    ]);
    expect(step.arms[0]?.note).toMatch(
      /9 at step 8, \d at step 24, \d at step 72\), with a worse neighbour on both sides, as far as those were trained \(0\.\d+ at step \d+.*\)$/,
    );
  });

  test('the same seed and scores propose the same, another seed other rates', () => {
    const history = (seed: number) => climb(valley(1e-3), { seed }).history;
    expect(history(1)).toEqual(history(1));
    expect(history(2)).not.toEqual(history(1));
  });

  test('a rate that failed by itself is no neighbour, for the search as for the table; how far the neighbours were trained is said', () => {
    const tried = search({ runs: 5 });
    const [lowest = 0, lower = 0, best = 0, higher = 0, highest = 0] = firstRates(tried).toSorted((a, b) => a - b);
    const to = (step: number, ...losses: number[]): Pick<RungRun, 'to' | 'scores'> => {
      return { to: step, scores: losses.map((loss, i) => ({ step: RUNGS[i] ?? 0, loss })) };
    };
    const runs: RungRun[] = [
      { rate: lowest, state: 'stopped', ...to(8, 4) },
      { rate: lower, state: 'failed', ...to(8) },
      { rate: best, state: 'ended', ...to(72, 3, 2, 1) },
      { rate: higher, state: 'stopped', ...to(24, 3.5, 2.5) },
      { rate: highest, state: 'diverged', ...to(8) },
    ];
    const found = ashaStep(tried, runs);
    expect(found).toMatchObject({ is: 'found', rate: best, isBracketed: true });
    expect('note' in found && found.note).toContain(
      `as far as those were trained (${lowest} at step 8, ${higher} at step 24)`,
    );
    const ends = { stopped: 'cancelled', failed: 'failed', ended: 'succeeded', diverged: 'failed' };
    const outcome = experiment(
      [outcomeArm('lora')],
      runs.map(({ rate, state, to: step, scores }) =>
        run('lora', {
          phase: 'search',
          seed: 1,
          learning_rate: rate,
          status: ends[state as keyof typeof ends],
          verdict: state === 'diverged' ? 'nan_loss' : null,
          stopped_at: state === 'stopped' ? step : null,
          result_step: state === 'ended' ? step : null,
          points: scores.map(({ step: at, loss }) => point(at, { valid: loss ?? Number.NaN })),
        }),
      ),
    );
    expect(experimentTable(outcome).rows[0]).toMatchObject({ learning_rate: best, is_bracketed: true });
  });

  test('an optimum at the edge of what was drawn has no worse neighbour on both sides', () => {
    const { step } = climb((rate, at) => valley(1e-5)(rate, at));
    expect(step.arms[0]).toMatchObject({ phase: 'done', is_bracketed: false });
  });

  test('where all but one diverge that one goes on to the end, though no rung holds eta runs', () => {
    const { step, outcomes } = climb((rate, at) => (rate < 3e-4 ? valley(1e-4)(rate, at) : null), { runs: 4 });
    expect(outcomes.filter(({ state }) => state === 'diverged').length).toBeGreaterThan(0);
    expect(step.status).toBe('succeeded');
  });

  test('where a promoted run diverges the next best goes on in its place', () => {
    const best = climb(valley(1e-3)).step.arms[0]?.learning_rate ?? 0;
    const { step } = climb((rate, at) => (rate === best && at > 8 ? null : valley(1e-3)(rate, at)));
    expect(step.status).toBe('succeeded');
    expect(step.arms[0]?.learning_rate).not.toBe(best);
  });

  test('where all diverge the arm is lost, and nothing waits any more', () => {
    const { step } = climb(() => null);
    expect(step).toMatchObject({ status: 'failed', stop: [], arms: [{ phase: 'failed' }] });
    expect(step.reason).toMatch(/^a: no run came to step 72, at 9 rates from /);
  });

  test('where all are lost and one of them failed for another reason, that is said', () => {
    const { outcomes } = climb(() => null);
    const [first, ...others] = outcomes;
    const failed = { ...(first as CellOutcome), state: 'failed', reason: 'ftjob-1 failed: no room' } as const;
    expect(nextStep([arm()], seeds, [failed, ...others]).reason).toMatch(
      /no run came to step 72.*; ftjob-1 failed: no room$/,
    );
  });

  test('a run of the search that failed stops nothing else; one of the final seeds fails the arm', () => {
    const { outcomes } = climb(valley(1e-3));
    const searched = outcomes.find(({ phase, state }) => phase === 'search' && state === 'stopped');
    const again = (changed: CellOutcome | undefined) =>
      nextStep(
        [arm()],
        seeds,
        outcomes.map((one) => (one === changed ? { ...one, state: 'failed', reason: 'no' } : one)),
      );
    expect(again(searched).status).toBe('succeeded');
    expect(again(outcomes.find(({ phase }) => phase === 'final')).status).toBe('failed');
  });

  test('a neighbour that was stopped while it was better is not a worse one', () => {
    const run = (rate: number, losses: number[], state: RungRun['state']): RungRun => ({
      rate,
      state,
      to: RUNGS[losses.length - 1] ?? 0,
      scores: losses.map((loss, at) => ({ step: RUNGS[at] ?? 0, loss })),
    });
    const drawn = ashaStep(search({ runs: 3 }), []);
    const [low = 0, middle = 0, high = 0] = (drawn.is === 'open' ? drawn.start : []).toSorted((a, b) => a - b);
    const at = (low8: number) =>
      ashaStep(search({ runs: 3 }), [
        run(low, [low8], 'stopped'),
        run(middle, [2, 1.5, 1], 'ended'),
        run(high, [3, 1.8], 'stopped'),
      ]);
    expect(at(2.5)).toMatchObject({ is: 'found', rate: middle, isBracketed: true });
    expect(at(1.9)).toMatchObject({ is: 'found', rate: middle, isBracketed: false });
  });
});

const lossOf = ({ scores }: RungRun): number => scores[0]?.loss ?? 0;
const drawn = (asked: AshaSearch): number[] => {
  const first = ashaStep(asked, []);
  return first.is === 'open' ? first.start : [];
};

describe('what it will take', () => {
  test('is known for nine runs of eta 3: at least as halving, at most as where each is better than those before', () => {
    const plan = planRungs(search({ runs: 9 }));
    expect(plan.map(({ step, runs: { least, most } }) => [step, least, most])).toEqual([
      [8, 9, 9],
      [24, 3, 7],
      [72, 1, 5],
    ]);
    for (const { runs } of plan) {
      expect(runs.expected).toBeGreaterThanOrEqual(runs.least);
      expect(runs.expected).toBeLessThanOrEqual(runs.most);
    }
    // (9·8 + 3·16 + 1·48) / 72 and (9·8 + 7·16 + 5·48) / 72 whole runs.
    expect(rungRuns(plan, 'least')).toBeCloseTo(168 / 72, 12);
    expect(rungRuns(plan, 'most')).toBeCloseTo(424 / 72, 12);
    expect(rungRuns(plan, 'expected')).toBeGreaterThan(168 / 72);
  });

  test.each([
    [9, 3],
    [20, 2],
    [2, 5],
  ])('%i runs of eta %i are expected to come as far as the rule itself lets them, in the same orders', (count, eta) => {
    const asked = search({ runs: count, eta });
    const random = createRandom(asked.seed);
    const rates = drawn(asked).length;
    const totals = [0, 0, 0];
    for (let order = 0; order < 32; order += 1) {
      const runs: RungRun[] = [];
      const come = (rate: number, at: number, scores: RungRun['scores'], loss: number): void => {
        const to = RUNGS[at] ?? 0;
        runs[rate] = { rate, state: at === 2 ? 'ended' : 'held', to, scores: [...scores, { step: to, loss }] };
        totals[at] = (totals[at] ?? 0) + 1;
      };
      for (;;) {
        const best = runs
          .filter(({ state }) => state === 'held')
          .toSorted((a, b) => b.to - a.to || lossOf(a) - lossOf(b))[0];
        const isStuck = runs.length === rates && runs.every(({ state }) => state !== 'ended');
        const [next] = promotions(asked, runs);
        const promoted = next ? runs[next.rate] : isStuck ? best : undefined;
        if (promoted) come(promoted.rate, promoted.to === 8 ? 1 : 2, promoted.scores, lossOf(promoted));
        else if (runs.length < rates) come(runs.length, 0, [], random.next());
        else break;
      }
    }
    expect(planRungs(asked).map(({ runs }) => runs.expected)).toEqual(
      totals.map((total) => Math.round((10 * total) / 32) / 10),
    );
  });

  test('is known at once for the largest search that there is', () => {
    const asked = { type: 'asha', min: 1e-5, max: 0.1, runs: 200, seed: 1, eta: 2 } as const;
    const begun = performance.now();
    const plan = planRungs({ ...asked, rungs: rungsOf({ eta: 2, min_steps: 1 }, 1e6) });
    expect(plan).toHaveLength(21);
    // 17 s where each step asked all runs again.
    expect(performance.now() - begun).toBeLessThan(2_000);
  });

  test('is bounded by what a search does whose runs come from the worst to the best', () => {
    const runs: RungRun[] = [];
    const promoted = new Set<number>();
    for (let loss = 9; loss > 0; loss -= 1) {
      runs.push({ rate: loss, state: 'held', to: 8, scores: [{ step: 8, loss }] });
      for (const { rate } of promotions(search(), runs)) {
        promoted.add(rate);
        const at = runs.findIndex((run) => run.rate === rate);
        runs[at] = { ...(runs[at] as RungRun), state: 'active', to: 24 };
      }
    }
    expect(promoted.size).toBe(7);
  });
});
