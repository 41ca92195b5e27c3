// Expected intervals: SciPy 1.17.1 (stats.t.interval over the gains in the test); the bootstrap has its own references in test/stats.
import { describe, expect, test } from 'vitest';
import {
  experimentTable,
  experimentVerdict,
  type RunOutcome,
  type VerdictOptions,
} from '../../src/experiments/index.js';
import { arm, compared, dial, experiment, finals, point, run, search } from './outcomes.js';

/** One final run an entry, by exact match on 200 test rows: of the base, and tuned. */
const exact = (name: string, valid: number, shares: readonly [base: number, tuned: number][]): RunOutcome[] =>
  shares.map(([base, tuned], i) =>
    run(name, {
      seed: 2 + i,
      points: [
        point(0, { valid: 3, test: 3, exact: base, source: 2 }),
        point(100, { valid, test: 1, exact: tuned, source: 2.1 }),
      ],
    }),
  );
const one = (runs: readonly RunOutcome[], options: VerdictOptions = {}) =>
  experimentVerdict(experiment([arm('lora')], [...search('lora'), ...runs]), options);
const items = (id: string, tuned: readonly number[], base: readonly number[]) => ({ run_id: id, tuned, base });
const ones = (n: number, of: number): number[] => Array.from({ length: of }, (_, i) => (i < n ? 1 : 0));

describe('the verdict', () => {
  test('of a clear gain is to use it, by the interval over the seeds, with the command that comes next', () => {
    const verdict = one(
      exact('lora', 1, [
        [0.1, 0.5],
        [0.1, 0.6],
        [0.1, 0.55],
      ]),
    );
    expect(verdict).toMatchObject({
      decision: 'use',
      metric: 'exact_match',
      chosen: { arm: 'lora', learning_rate: 1e-3, is_bracketed: true, step: 100, lambda: 1 },
      gain: { n: 3, over: 'seeds' },
      seconds: 180,
    });
    // gains 0.4, 0.5, 0.45: 0.45 ± 0.1242068855875
    expect(verdict.gain?.mean).toBeCloseTo(0.45, 12);
    expect(verdict.gain?.low).toBeCloseTo(0.45 - 0.1242068855875, 9);
    expect(verdict.forgotten?.mean).toBeCloseTo(0.1, 12);
    expect(verdict.next_command).toBe(`moraine runs download ${verdict.chosen?.run_id} --format merged`);
    expect(verdict.reason).toContain('lora is better than the base: exact match better by 0.45 [0.326, 0.574]');
  });

  test('takes the method of the least validation loss, whatever test rows say', () => {
    const runs = [
      ...search('lora'),
      ...search('mora'),
      ...exact('lora', 1.2, [
        [0, 0.9],
        [0, 0.9],
        [0, 0.9],
      ]),
      ...exact('mora', 1.1, [
        [0, 0.5],
        [0, 0.5],
        [0, 0.6],
      ]),
    ];
    expect(experimentVerdict(experiment([arm('lora'), arm('mora')], runs)).chosen?.arm).toBe('mora');
  });

  test('of no gain is not to use it: the interval holds 0', () => {
    const verdict = one(
      exact('lora', 1, [
        [0.5, 0.4],
        [0.5, 0.6],
        [0.5, 0.52],
      ]),
    );
    expect(verdict).toMatchObject({ decision: 'do_not_use', next_command: null });
    expect(verdict.reason).toMatch(/^no better than the base: the interval holds 0/);
  });

  test('of a loss is that it is worse', () => {
    const verdict = one(
      exact('lora', 1, [
        [0.5, 0.2],
        [0.5, 0.21],
        [0.5, 0.2],
      ]),
    );
    expect(verdict.decision).toBe('do_not_use');
    expect(verdict.reason).toMatch(/^worse than the base/);
  });

  test('of seeds that are all equal is by the rows of one model: all right is a gain, one row more is none', () => {
    // shareDifference of 200 rows; statsmodels' newcomb: 200 and 0 are 1 [0.973, 1], 1 and 0 are 0.005 [−0.0143, 0.0278].
    const all = one(exact('lora', 1, Array(3).fill([0, 1])));
    expect(all).toMatchObject({ decision: 'use', gain: { mean: 1, n: 200, over: 'items' } });
    expect(all.gain?.low).toBeCloseTo(0.973, 3);
    const single = one(exact('lora', 1, Array(3).fill([0, 0.005])));
    expect(single).toMatchObject({ decision: 'do_not_use', gain: { mean: 0.005, n: 200, over: 'items' } });
    expect(single.gain?.low).toBeCloseTo(-0.0143, 4);
  });

  test('of a base that is perfect is not to use it', () => {
    const verdict = one(
      exact('lora', 1, [
        [1, 1],
        [1, 1],
        [1, 1],
      ]),
    );
    expect(verdict.decision).toBe('do_not_use');
    expect(verdict.reason).toMatch(/^no better than the base, which answers every test row already/);
  });

  test('of one seed is by the items of that model, and says so; few of them decide nothing', () => {
    const runs = exact('lora', 1, [[0.125, 0.375]]);
    const id = runs[0]?.run_id ?? '';
    // 40 rows, of which 8 are test rows: 3 against 1 of 8.
    const few = one(runs, { items: items(id, ones(3, 8), ones(1, 8)) });
    expect(few).toMatchObject({ decision: 'do_not_use', gain: { n: 8, over: 'items', mean: 0.25 } });
    expect(few.reason).toContain('8 items of one model');
    const many = one(runs, { items: items(id, ones(75, 200), ones(25, 200)) });
    expect(many).toMatchObject({ decision: 'use', gain: { n: 200, over: 'items', mean: 0.25 } });
  });

  test('items of another run are not looked at: without an interval nothing is used', () => {
    const verdict = one(exact('lora', 1, [[0, 0.9]]), { items: items('ftjob-other', ones(200, 200), ones(0, 200)) });
    expect(verdict).toMatchObject({ decision: 'do_not_use', gain: null });
    expect(verdict.reason).toMatch(/^nothing shows a gain/);
  });

  test('of losses counts a lower one as a gain, over items too', () => {
    expect(one(finals('lora', [1.0, 1.2, 1.1])).gain?.mean).toBeCloseTo(1.9, 12);
    const runs = finals('lora', [1.0]);
    const found = one(runs, { items: items(runs[0]?.run_id ?? '', [1, 1.1, 0.9, 1], [3, 3.2, 3, 3.1]) });
    expect(found).toMatchObject({ decision: 'use', gain: { over: 'items' } });
    expect(found.gain?.mean).toBeCloseTo(2.075, 12);
  });

  test('of runs that all diverged is that there is nothing to use', () => {
    const runs = [2, 3, 4].map((seed) => run('lora', { seed, status: 'failed', verdict: 'nan_loss' }));
    const verdict = experimentVerdict(experiment([arm('lora')], [...search('lora', [null, null, null]), ...runs]));
    expect(verdict).toMatchObject({ decision: 'do_not_use', chosen: null, gain: null, next_command: null });
    expect(verdict.reason).toBe('no run of any method ended with a score: there is nothing to use');
  });

  test('with a bound on what may be forgotten takes the best model within it, on the way back to the base too', () => {
    const runs = [2, 3, 4].map((seed) =>
      run('lora', {
        seed,
        points: [
          point(0, { valid: 3, test: 3, source: 2 }),
          point(100, { valid: 1, test: 1 + seed / 100, source: 2.5 }),
        ],
        dial: [dial(0.5, { valid: 1.5, test: 1.6 + seed / 100, source: 2.1 })],
      }),
    );
    expect(one(runs).chosen).toMatchObject({ step: 100, lambda: 1 });
    const bounded = one(runs, { keep: 0.2 });
    expect(bounded.chosen).toMatchObject({ step: 100, lambda: 0.5 });
    expect(bounded.next_command).toMatch(/ --format merged --lambda 0\.5$/);
    const none = one(runs, { keep: 0.05 });
    expect(none).toMatchObject({ decision: 'do_not_use', chosen: null });
    expect(none.reason).toBe('every model forgets more than the bound of 0.05 bits per byte; the least is 0.1');
  });

  test('with a bound, what was not measured is not within it', () => {
    const points = [point(0, { valid: 3, test: 3 }), point(100, { valid: 1, test: 1 })];
    const verdict = one(
      [2, 3, 4].map((seed) => run('lora', { seed, points })),
      { keep: 1 },
    );
    expect(verdict.reason).toMatch(/^what was forgotten was not measured/);
  });

  /** A run that overfits: validation rows choose the checkpoint at `best`, which is its result. */
  const overfitted = (best: number, seed: number): RunOutcome =>
    run('lora', {
      seed,
      result_step: best,
      points: [
        point(0, { valid: 3, test: 3, source: 2 }),
        ...[25, 50, 75].map((step) =>
          point(step, step === best ? { valid: 1, test: 1 + seed / 100, source: 2.2 } : { valid: 1.5 }),
        ),
        point(100, { valid: 2 }),
      ],
      dial: [dial(0.5, { valid: 1.2, source: 2.1 })],
    });

  test('of runs that overfit is of the checkpoint that validation rows chose in each, which is what is downloaded', () => {
    const verdict = one([overfitted(50, 2), overfitted(25, 3), overfitted(75, 4)]);
    expect(verdict).toMatchObject({ decision: 'use', chosen: { step: 50, lambda: 1 }, gain: { n: 3, over: 'seeds' } });
    // 3 − mean(1.02, 1.03, 1.04)
    expect(verdict.gain?.mean).toBeCloseTo(1.97, 12);
    expect(verdict.forgotten?.mean).toBeCloseTo(0.2, 12);
    expect(verdict.next_command).toBe(`moraine runs download ${verdict.chosen?.run_id} --format merged`);
  });

  test('over the items of one model tells the scores of that model, not of all seeds', () => {
    const runs = exact('lora', 1, [
      [0.1, 0.3],
      [0.2, 0.8],
    ]).map((each, i) => ({
      ...each,
      points: each.points.map((at) =>
        at.step === 0 ? at : point(100, { valid: 1 - i / 2, test: 1, exact: i === 0 ? 0.3 : 0.8, source: 2 }),
      ),
    }));
    const id = runs[1]?.run_id ?? '';
    const found = one(runs, { items: items(id, ones(160, 200), ones(40, 200)) });
    expect(found).toMatchObject({ chosen: { run_id: id }, base: 0.2, tuned: 0.8, gain: { over: 'items', mean: 0.6 } });
    expect(one(runs)).toMatchObject({ tuned: 0.55, gain: null });
  });

  test('and the table are of one share for an arm, that of the least loss over its seeds', () => {
    // Of seed 4 alone the whole update is better.
    const seeds = [2, 3, 4].map((seed) => {
      const points = [point(0, { valid: 3, test: 3, source: 2 }), point(100, { valid: 1, test: 1, source: 2.5 })];
      const back = dial(0.5, { valid: seed === 4 ? 1.1 : 0.6, test: 0.7 + seed / 100, source: 2.1 });
      return run('lora', { seed, points, dial: [back] });
    });
    const tableOf = (runs: RunOutcome[]) =>
      experimentTable(experiment([arm('lora')], [...search('lora'), ...runs])).rows[0];
    expect(tableOf(seeds)?.runs.map(({ lambda }) => lambda)).toEqual([0.5, 0.5, 0.5]);
    expect(tableOf(seeds)?.learned?.mean).toBeCloseTo(0.73, 12);
    expect(one(seeds)).toMatchObject({ tuned: tableOf(seeds)?.learned?.mean, chosen: { lambda: 0.5 } });
    // An evaluation that failed leaves its run without the share.
    const failed = seeds.map((each) => (each.seed === 2 ? { ...each, dial: [] } : each));
    expect(tableOf(failed)?.runs.map(({ lambda }) => lambda)).toEqual([1, 1, 1]);
    expect(one(failed)).toMatchObject({ tuned: tableOf(failed)?.learned?.mean, chosen: { lambda: 1 } });
  });

  test('on the way back to the base is of the same checkpoint', () => {
    const runs = [2, 3, 4].map((seed) => {
      const one = overfitted(50, seed);
      return { ...one, dial: [dial(0.5, { valid: 0.8, test: 0.9 + seed / 100, source: 2.1 })] };
    });
    expect(one(runs).chosen).toMatchObject({ step: 50, lambda: 0.5 });
  });

  test('does not depend on the order of runs', () => {
    const outcome = compared();
    const other = { ...outcome, runs: outcome.runs.toReversed() };
    const { gain, ...rest } = experimentVerdict(outcome);
    const { gain: gain2, ...rest2 } = experimentVerdict(other);
    expect(rest2).toEqual(rest);
    expect(gain2?.low).toBeCloseTo(gain?.low ?? Number.NaN, 12);
  });
});
