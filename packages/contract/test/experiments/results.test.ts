// Expected numbers: SciPy 1.17.1 (stats.t.interval over the values that stand in the test) and NumPy 2.4.6 (polyfit), or the arithmetic in the comment.
import { describe, expect, test } from 'vitest';
import {
  curvesCsv,
  curvesSvg,
  type ExperimentOutcome,
  experimentCurves,
  experimentFrontier,
  experimentTable,
  klGauge,
  type OutcomePoint,
  tableCsv,
  tableMarkdown,
} from '../../src/experiments/index.js';
import { createRandom } from '../../src/random.js';
import { arm, compared, dial, experiment, finals, point, run, scores, search } from './outcomes.js';

const shuffled = (outcome: ExperimentOutcome, seed: number): ExperimentOutcome => {
  const { next } = createRandom(seed);
  const keyed = outcome.runs.map((one) => ({ one, key: next() }));
  return { ...outcome, runs: keyed.sort((a, b) => a.key - b.key).map(({ one }) => one) };
};

const ended = (last: OutcomePoint) => ({ status: 'succeeded', verdict: null, points: [last] });

describe('the table of an experiment', () => {
  test('has means with the t-interval over the seeds, and differences paired by seed', () => {
    const { rows, not_comparable, metric } = experimentTable(compared());
    expect(metric).toBe('loss');
    expect(not_comparable).toEqual([]);
    const [lora, mora] = rows;
    expect(lora?.learned).toEqual({
      mean: expect.closeTo(1.1, 12),
      half: expect.closeTo(0.24841377117503294, 9),
      n: 3,
      reason: null,
    });
    expect(lora?.kept?.mean).toBeCloseTo(0.4, 12);
    expect(lora?.kept?.half).toBeCloseTo(0.248413771175033, 9);
    expect(lora?.base?.mean).toBe(3);
    expect(lora?.difference).toBeNull();
    expect(mora?.difference?.learned?.mean).toBeCloseTo(-1 / 3, 12);
    expect(mora?.difference?.learned?.half).toBeCloseTo(0.14342175765831522, 9);
    expect(mora?.difference?.kept?.mean).toBeCloseTo(1 / 3, 12);
  });

  test('says what the figures hold up: MoRA learned more, and forgot more', () => {
    expect(experimentTable(compared()).claims).toEqual([
      'mora learned more than lora: loss −0.333 ± 0.143 (95 %, 3 seeds) nats a token',
      'mora forgot more than lora: +0.333 ± 0.143 (95 %, 3 seeds) bits per byte',
    ]);
  });

  test('takes the rate that validation rows chose, and says whether both neighbours are worse', () => {
    const [lora] = experimentTable(compared()).rows;
    expect(lora).toMatchObject({ learning_rate: 1e-3, is_bracketed: true });
    expect(lora?.rates.map(({ learning_rate, loss }) => [learning_rate, loss])).toEqual([
      [1e-4, 2.2],
      [1e-3, 1.5],
      [1e-2, 2.4],
    ]);
  });

  test('a rate that was stopped at a rung is compared at that step alone, and every form says so', () => {
    // At step 50 the middle rate has 2.5; at its end 1.5, which no stopped run is held against.
    const stoppedAt50 = (lowest: number): ExperimentOutcome => {
      const [low, middle, high] = search('lora');
      const stop = (one: typeof low, loss: number) => ({
        ...(one ?? run('lora')),
        ...{ status: 'cancelled', stopped_at: 50, points: [point(50, { valid: loss })] },
      });
      const runs = [stop(low, lowest), ...(middle ? [middle] : []), stop(high, 2.6), ...finals('lora', [1, 1.2, 1.1])];
      return experiment([arm('lora')], runs);
    };
    const outcome = stoppedAt50(2.75);
    const table = experimentTable(outcome);
    const [row] = table.rows;
    expect(row).toMatchObject({ learning_rate: 1e-3, is_bracketed: true });
    expect(row?.rates).toMatchObject([
      { learning_rate: 1e-4, loss: null, stopped: { step: 50, loss: 2.75 } },
      { learning_rate: 1e-3, loss: 1.5, stopped: null },
      { learning_rate: 1e-2, loss: null, stopped: { step: 50, loss: 2.6 } },
    ]);
    expect(table.not_comparable).toEqual([]);
    const curves = experimentCurves(outcome);
    expect(curvesSvg(curves, 'x')).toContain(
      'Stopped early and not drawn: lora at 0.0001 (step 50), lora at 0.01 (step 50).',
    );
    expect(curvesSvg(curves, 'x')).not.toContain('diverged');
    expect(curvesCsv(curves)).toContain('validation_loss,nats a token,lora,,,50,0.0001,2.75,,1');
    expect(tableCsv(table)).toContain(',0.0001 at step 50; 0.01 at step 50,');
    expect(tableMarkdown(table)).toContain('0.0001: stopped at step 50 (2.75 there), **0.001: 1.5**');
    // One that was better at its step than the chosen one there is no worse neighbour.
    const open = experimentTable(stoppedAt50(2.25));
    expect(open.rows[0]).toMatchObject({ learning_rate: 1e-3, is_bracketed: false });
    expect(open.not_comparable.map(({ factor }) => factor)).toEqual(['learning_rate']);
  });

  test('an optimum at the edge of the grid is not comparable, and nothing is claimed of it', () => {
    const { arms, runs } = compared();
    const edge = runs.filter((one) => !(one.arm === 'mora' && one.phase === 'search' && one.learning_rate === 1e-2));
    const table = experimentTable({ arms, runs: edge });
    expect(table.not_comparable.map(({ sentence }) => sentence)).toEqual([
      'the learning rate of mora, 0.001, lies at the edge of its grid: no larger one was tried',
    ]);
    expect(table.rows[1]?.is_bracketed).toBe(false);
    expect(table.claims).toEqual([]);
  });

  test('a rate whose run diverged is worse than any: it brackets', () => {
    const outcome = experiment([arm('lora')], [...search('lora', [2.2, 1.5, null]), ...finals('lora', [1, 1.2, 1.1])]);
    expect(experimentTable(outcome).rows[0]).toMatchObject({ is_bracketed: true });
    const infinite = outcome.runs.map((one) =>
      one.verdict === null ? one : { ...one, ...ended(point(100, { valid: Number.POSITIVE_INFINITY })) },
    );
    expect(experimentTable({ ...outcome, runs: infinite }).rows[0]).toMatchObject({ is_bracketed: true });
  });

  test('seeds that all differ by the same have no interval: nothing is claimed of them, and the report says so', () => {
    const shares = (name: string, exact: number) =>
      [2, 3, 4].map((seed) =>
        run(name, {
          seed,
          points: [
            point(0, { valid: 3, test: 3, exact: 0, source: 2 }),
            point(100, { valid: 1, test: 1, exact, source: 2 + seed / 10 }),
          ],
        }),
      );
    const outcome = experiment(
      [arm('lora'), arm('mora')],
      [...search('lora'), ...shares('lora', 0.995), ...search('mora'), ...shares('mora', 1)],
    );
    const table = experimentTable(outcome);
    expect(table.rows[1]?.learned).toEqual({ mean: 1, half: null, n: 3, reason: '3 seeds, all equal' });
    expect(table.rows[1]?.difference?.learned).toMatchObject({ half: null, n: 3, reason: '3 seeds, all equal' });
    expect(table.claims).toEqual([]);
    expect(tableMarkdown(table)).toContain(
      '- Whether mora learned more than lora is open: the difference is 0.005 in each of 3 seeds, which gives no interval.',
    );
  });

  test('two seeds have no interval, and the reason stands there; the seed of the search is none of them', () => {
    const outcome = experiment([arm('lora')], [...search('lora'), ...finals('lora', [1.0, 1.2])]);
    expect(experimentTable(outcome).rows[0]?.learned).toEqual({
      mean: 1.1,
      half: null,
      n: 2,
      reason: '2 seeds: an interval needs three',
    });
    const one = experimentTable(experiment([arm('lora')], [...search('lora'), ...finals('lora', [1.0])]));
    expect(one.not_comparable.map(({ factor }) => factor)).toEqual(['seeds']);
  });

  test('the checkpoint is chosen on validation rows and the figure is of its test rows, be another one better there', () => {
    const points = [
      point(0, { valid: 3, test: 3, source: 2 }),
      point(50, { valid: 1, test: 1.5, source: 2.1 }),
      point(100, { valid: 1.4, test: 1.1, source: 2.9 }),
    ];
    const runs = [2, 3, 4].map((seed) => run('lora', { seed, points }));
    const [lora] = experimentTable(experiment([arm('lora')], runs)).rows;
    expect(lora?.runs[0]).toMatchObject({ step: 50, lambda: 1, learned: 1.5 });
    expect(lora?.runs[0]?.kept).toBeCloseTo(0.1, 12);
    const dialled = runs.map((one) => ({ ...one, dial: [dial(0.5, { valid: 0.9, test: 1.6, source: 2.05 })] }));
    expect(experimentTable(experiment([arm('lora')], dialled)).rows[0]?.runs[0]).toMatchObject({
      step: 100,
      lambda: 0.5,
      learned: 1.6,
    });
  });

  test('runs that diverged or have not ended take no part, and are named', () => {
    const [a, b, c] = finals('lora', [1, 1.2, 1.1]);
    if (!a || !b || !c) throw new Error('three runs');
    const runs = [a, { ...b, status: 'running' }, { ...c, status: 'failed', verdict: 'nan_loss' }];
    const [lora] = experimentTable(experiment([arm('lora')], runs)).rows;
    expect(lora?.runs.map(({ left_out }) => left_out)).toEqual([null, 'it is running', 'it diverged']);
    expect(lora?.learned?.n).toBe(1);
  });

  test('without bits per byte of the base nothing is said of what was kept, and why', () => {
    const points = [point(0, { valid: 3, test: 3 }), point(100, { valid: 1, test: 1, source: 2 })];
    const [lora] = experimentTable(experiment([arm('lora')], [run('lora', { points })])).rows;
    expect(lora).toMatchObject({ kept: null });
    expect(lora?.kept_reason).toBe(
      '1 of 1 runs have no bits per byte of source rows, at step 0 and at the chosen checkpoint',
    );
  });

  test('why nothing is said of what was forgotten is said once where it is the same for every arm', () => {
    const reason = '3 of 3 runs have no bits per byte of source rows, at step 0 and at the chosen checkpoint';
    const without = (name: string) =>
      [2, 3, 4].map((seed) =>
        run(name, { seed, points: [point(0, { valid: 3, test: 3 }), point(100, { valid: 1, test: 1 })] }),
      );
    const shown = tableMarkdown(
      experimentTable(experiment([arm('lora'), arm('mora')], [...without('lora'), ...without('mora')])),
    );
    expect(shown.split(reason)).toHaveLength(2);
    expect(shown).toContain(`Nothing is said of what was forgotten: ${reason}.`);
    // An arm of its own keeps its reason beside it.
    const outcome = compared();
    const mixed = experiment(
      [...outcome.arms, arm('other', { method: 'mora' })],
      [...outcome.runs, ...without('other')],
    );
    expect(tableMarkdown(experimentTable(mixed))).toMatch(new RegExp(`^\\| other .*– \\(${reason}\\)`, 'm'));
  });

  test('exact match has no chance level: an arm that gets no row right is compared as any other', () => {
    const exact = (name: string, share: number) =>
      [2, 3, 4].map((seed) =>
        run(name, {
          seed,
          points: [
            point(0, { valid: 3, test: 3, exact: 0 }),
            point(100, { valid: 1, test: 1, exact: share === 0 ? 0 : share + seed / 1000 }),
          ],
        }),
      );
    const table = experimentTable(experiment([arm('lora'), arm('mora')], [...exact('lora', 0.5), ...exact('mora', 0)]));
    expect(table.metric).toBe('exact_match');
    expect(table.rows[1]?.difference).toMatchObject({
      to: 'lora',
      learned: { mean: expect.closeTo(-0.503, 9) },
      reason: null,
    });
    expect(tableMarkdown(table)).not.toMatch(/chance|Guessing/);
    expect(table.rows[0]?.runs[0]?.rows).toBe(200);
    // Wilson, 100 of 200 (0.502 · 200 rounds to it): statsmodels' proportion_confint(100, 200, method='wilson')
    expect(table.rows[0]?.runs[0]?.interval?.[0]).toBeCloseTo(0.431, 3);
  });

  test('full fine-tuning is the yardstick, and says how many times the parameters it trains', () => {
    const outcome = compared();
    outcome.arms.push(arm('full', { method: 'none', trainable_parameters: 43_000 }));
    const { rows } = experimentTable({ ...outcome, runs: [...outcome.runs, ...finals('full', [0.5, 0.6, 0.55])] });
    expect(rows[2]?.yardstick).toBe('yardstick, 43× the parameters');
  });

  test('a pair of runs has the same seed and the same order', () => {
    const { arms, runs } = compared();
    const other = runs.map((one) => (one.arm === 'mora' ? { ...one, order: `other ${one.seed}` } : one));
    const table = experimentTable({ arms, runs: other });
    expect(table.rows[1]?.difference?.reason).toBe('no two runs have the same seed and order');
    expect(table.not_comparable.some(({ factor }) => factor === 'order')).toBe(true);
    expect(experimentTable({ arms, runs: other }, { varies: ['order'] }).not_comparable).toEqual([]);
  });

  test('the cost is what the runs took, and runs that have not said so are counted', () => {
    const { arms, runs } = compared();
    const table = experimentTable({ arms, runs: runs.map((one, i) => (i === 0 ? { ...one, seconds: null } : one)) });
    expect(table.rows.map(({ seconds }) => seconds)).toEqual([
      { search: 60, final: 90, runs_unmeasured: 1 },
      { search: 90, final: 90, runs_unmeasured: 0 },
    ]);
  });

  test('an experiment without a run has rows that say nothing', () => {
    const table = experimentTable(experiment([arm('lora')], []));
    expect(table.rows[0]).toMatchObject({ learning_rate: null, learned: null, kept: null, is_bracketed: null });
    expect(table.claims).toEqual([]);
  });
});

describe('the plane of learning and keeping', () => {
  const at = (name: string, seed: number, places: readonly [number, number][], rest: object = {}) =>
    run(name, {
      seed,
      points: [
        point(0, { valid: 3, test: 3, source: 2 }),
        ...places.map(([loss, source], i) => point(50 * (i + 1), { valid: loss, test: 9, source })),
      ],
      ...rest,
    });

  test('has the base at the origin, gains to the right and what was forgotten below', () => {
    const outcome = experiment(
      [arm('lora')],
      [at('lora', 2, [[2, 2.25]], { dial: [dial(0.5, { valid: 2.5, source: 2.05 })] })],
    );
    const { runs, rows } = experimentFrontier(outcome);
    expect(rows).toBe('validation');
    expect(runs[0]?.points).toEqual([
      { step: 0, lambda: 1, x: 0, y: 0, is_on_front: false },
      { step: 50, lambda: 1, x: 1, y: -0.25, is_on_front: true },
    ]);
    expect(runs[0]?.dial[0]).toMatchObject({ lambda: 0.5, x: 0.5, is_on_front: true });
    expect(runs[0]?.dial[0]?.y).toBeCloseTo(-0.05, 12);
  });

  test('its front goes over checkpoints of all runs, dial points and the base', () => {
    const outcome = experiment(
      [arm('lora'), arm('mora')],
      [
        at('lora', 2, [
          [2, 2.2],
          [1.5, 2.6],
        ]),
        at('mora', 2, [
          [2.1, 2.3],
          [1.2, 2.5],
        ]),
      ],
    );
    const { front } = experimentFrontier(outcome);
    // mora at 50 is beaten by lora at 50, lora at 100 by mora at 100.
    expect(front.map(({ arm: name, step }) => [name, step])).toEqual([
      [null, 0],
      ['lora', 50],
      ['mora', 100],
    ]);
  });

  test('a model that another one beats leaves the front as it is; the order of runs does not matter', () => {
    const { next } = createRandom(11);
    for (let round = 0; round < 50; round += 1) {
      const place = (): [number, number] => [1 + 2 * next(), 2 + next()];
      const runs = [2, 3, 4].map((seed) => at('lora', seed, [place(), place(), place()]));
      const outcome = experiment([arm('lora'), arm('mora')], runs);
      const { front } = experimentFrontier(outcome);
      expect(experimentFrontier(shuffled(outcome, round)).front).toEqual(front);
      const best = front.at(-1);
      const worse = at('mora', 2, [[3 - (best?.x ?? 0) + 0.1, 2 - (best?.y ?? 0) + 0.1]]);
      expect(experimentFrontier({ ...outcome, runs: [...runs, worse] }).front).toEqual(front);
    }
  });

  test('runs without a base, or without source rows, are left out, and why', () => {
    const outcome = experiment(
      [arm('lora')],
      [
        run('lora', { run_id: 'a', points: [point(50, { valid: 1, test: 1, source: 2 })] }),
        run('lora', { run_id: 'b', points: [point(0, { test: 3 }), point(50, { test: 1, source: 2 })] }),
      ],
    );
    expect(experimentFrontier(outcome).left_out).toEqual([
      { run_id: 'a', reason: 'the base was not scored: no loss of test rows at step 0' },
      { run_id: 'b', reason: 'no bits per byte of source rows at step 0' },
    ]);
  });
});

describe('the KL gauge', () => {
  /** y = D/2 + 2·D² with ten times a ripple of −0.02 … 0.02, at D = 0.02 … 0.42, over three methods. */
  const outcomeOf = (n: number, methods: readonly string[]) =>
    experiment(
      methods.map((name) => arm(name)),
      Array.from({ length: n }, (_, i) => {
        const kl = 0.02 * (i + 1);
        const forgotten = 0.5 * kl + 2 * kl * kl + 0.01 * (((i * 7) % 5) - 2);
        const points = [point(0, { source: 2, kl: 0 }), point(100, { source: 2 + forgotten, kl })];
        return run(methods[i % methods.length] ?? '', { points, seed: i });
      }),
    );

  test('is R² of both fits, on all and on the method that was left out', () => {
    const gauge = klGauge(outcomeOf(21, ['lora', 'mora', 'full']));
    expect(gauge.refusal).toBeNull();
    expect(gauge.quadratic?.coefficients[2]).toBeCloseTo(1.81425897, 7);
    expect(gauge.quadratic?.r2).toBeCloseTo(0.992935714267037, 9);
    expect(gauge.quadratic?.leave_one_method_out_r2).toBeCloseTo(0.9907699789461112, 9);
    expect(gauge.linear?.r2).toBeCloseTo(0.9733314163067838, 9);
    expect(gauge.linear?.leave_one_method_out_r2).toBeCloseTo(0.9714097293889252, 9);
  });

  test.each([
    [19, ['lora', 'mora', 'full'], '19 runs of 3 methods'],
    [30, ['lora', 'mora'], '30 runs of 2 methods'],
  ] as const)('%i runs of %j make no claim', (n, methods, words) => {
    const gauge = klGauge(outcomeOf(n, methods));
    expect(gauge).toMatchObject({ quadratic: null, linear: null });
    expect(gauge.refusal).toContain(words);
    expect(gauge.points).toHaveLength(n);
  });

  test('runs that have not succeeded, or did not measure it, are no points', () => {
    const { arms, runs } = outcomeOf(21, ['lora', 'mora', 'full']);
    const [first, second, ...rest] = runs;
    if (!first || !second) throw new Error('two runs');
    const unmeasured = { ...second, points: second.points.map((one) => ({ ...one, kl: null })) };
    expect(klGauge({ arms, runs: [{ ...first, status: 'running' }, unmeasured, ...rest] }).points).toHaveLength(19);
  });
});

describe('curves', () => {
  test('have a line a seed and the mean with its interval, at steps that all seeds have', () => {
    const outcome = experiment(
      [arm('lora')],
      [1.0, 1.2, 1.1].map((valid, i) =>
        run('lora', {
          seed: i,
          points: [point(0, { valid: 3 }), point(50, { valid }), ...(i === 0 ? [point(100, { valid: 1 })] : [])],
        }),
      ),
    );
    const panel = experimentCurves(outcome).panels.find(({ quantity }) => quantity === 'loss');
    expect(panel?.arms[0]?.runs.map(({ points }) => points.length)).toEqual([3, 2, 2]);
    expect(panel?.arms[0]?.mean.map(({ step }) => step)).toEqual([0, 50]);
    expect(panel?.arms[0]?.mean[1]?.half).toBeCloseTo(0.24841377117503294, 9);
  });

  test('of rates ring the one that was chosen', () => {
    const { rates } = experimentCurves(compared());
    expect(rates.map(({ points }) => points.map(({ is_chosen }) => is_chosen))).toEqual([
      [false, true, false],
      [false, true, false],
    ]);
  });

  test('leave out what was not measured', () => {
    const { panels } = experimentCurves(compared());
    expect(panels.map(({ quantity }) => quantity)).toEqual(['loss', 'token_accuracy', 'kept', 'kl']);
  });
});

test('the order of runs does not matter to any result', () => {
  const outcome = compared();
  for (const seed of [1, 2, 3]) {
    const other = shuffled(outcome, seed);
    expect(experimentTable(other)).toEqual(experimentTable(outcome));
    expect(experimentCurves(other)).toEqual(experimentCurves(outcome));
    expect(experimentFrontier(other)).toEqual(experimentFrontier(outcome));
  }
});

test('a source file counts as much as another, whatever their sizes', () => {
  const files = (a: number, b: number) => [
    scores('source', 'test', a, { file_id: 'a', rows: 10 }),
    scores('source', 'test', b, { file_id: 'b', rows: 9000 }),
  ];
  const points = [
    { step: 0, kl: null, scores: [...point(0, { valid: 3, test: 3 }).scores, ...files(1, 2)] },
    { step: 9, kl: null, scores: [...point(9, { valid: 1, test: 1 }).scores, ...files(1.5, 2.1)] },
  ];
  // (0.5 + 0.1) / 2
  expect(experimentTable(experiment([arm('lora')], [run('lora', { points })])).rows[0]?.kept?.mean).toBeCloseTo(
    0.3,
    12,
  );
});
