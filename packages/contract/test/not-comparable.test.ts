import { expect, test } from 'vitest';
import {
  type ComparedArm,
  type ComparedRun,
  FACTORS,
  notComparable,
  yardstickLabel,
} from '../src/experiments/index.js';

const run = (
  seed: number,
  learningRate: number,
  score: number | null,
  changes: Partial<ComparedRun> = {},
): ComparedRun => ({
  seed,
  learningRate,
  score,
  base: 'tiny',
  data: 'a'.repeat(64),
  order: `order of ${seed}`,
  tokens: 40_000,
  evaluationItems: 'items',
  sequenceLength: 256,
  settings: 'adamw',
  ...changes,
});

/** Three rates with the best in the middle, two seeds each. */
const runsWith = (changes: Partial<ComparedRun> = {}): ComparedRun[] =>
  [1, 2].flatMap((seed) => [run(seed, 1e-4, 2.1, changes), run(seed, 1e-3, 1.5, changes), run(seed, 1e-2, 3, changes)]);

const arm = (name: string, changes: Partial<ComparedArm> = {}): ComparedArm => ({
  name,
  method: name.split(' ')[0] ?? '',
  trainableParameters: 1000,
  learningRate: 1e-3,
  runs: runsWith(),
  ...changes,
});

const sentences = (
  arms: ComparedArm[],
  ...question: Parameters<typeof notComparable> extends [unknown, ...infer Q] ? Q : never
) => notComparable(arms, ...question).map(({ sentence }) => sentence);

test('arms that share everything are comparable, full fine-tuning beside them', () => {
  const arms = [arm('lora r 8'), arm('mora'), arm('none', { trainableParameters: 90_000 })];
  expect(notComparable(arms)).toEqual([]);
});

test.each([
  ['base', { base: 'other' }, 'their bases differ (lora: tiny; mora: other)'],
  ['data', { data: 'b'.repeat(64) }, 'they were trained on different rows (lora: aaaaaaaaaaaa; mora: bbbbbbbbbbbb)'],
  [
    'tokens',
    { tokens: 39_000 },
    'with equal seeds they saw different numbers of tokens (seed 1: lora 40,000, mora 39,000; seed 2: lora 40,000, mora 39,000)',
  ],
  ['evaluation_items', { evaluationItems: 'fewer' }, 'they were scored on different items (lora: items; mora: fewer)'],
  ['sequence_length', { sequenceLength: 128 }, 'their sequence lengths differ (lora: 256; mora: 128)'],
  ['order', { order: 'another' }, 'with seed 1 lora, mora saw their rows in 2 different orders'],
] as const)('another %s is a reason, unless the question varies it', (factor, changes, sentence) => {
  const arms = [arm('lora'), arm('mora', { runs: runsWith(changes) })];
  const found = notComparable(arms);
  expect(found[0]).toEqual({ factor, arms: ['lora', 'mora'], sentence });
  expect(new Set(found.map((one) => one.factor))).toEqual(new Set([factor]));
  expect(notComparable(arms, { varies: [factor] })).toEqual([]);
});

test('one run that differs within an arm is a reason too', () => {
  const runs = [...runsWith().slice(1), run(1, 1e-4, 2.1, { evaluationItems: 'fewer' })];
  expect(sentences([arm('lora'), arm('mora', { runs })])).toEqual([
    'they were scored on different items (lora: items; mora: items and fewer)',
  ]);
});

test('a run that a search stopped early saw fewer tokens, which only counts at the rate that is reported', () => {
  const stopped = runsWith().map((one) => (one.learningRate === 1e-2 ? { ...one, tokens: 10, score: null } : one));
  expect(notComparable([arm('lora'), arm('mora', { runs: stopped })])).toEqual([]);
});

test('seeds whose steps end at other places of an epoch saw other numbers of tokens, in every arm the same', () => {
  const bySeed = runsWith().map((one) => ({ ...one, tokens: 40_000 + one.seed }));
  expect(notComparable([arm('lora', { runs: bySeed }), arm('mora', { runs: bySeed })])).toEqual([]);
  const other = bySeed.map((one) => (one.seed === 2 ? { ...one, tokens: 40_003 } : one));
  expect(sentences([arm('lora', { runs: bySeed }), arm('mora', { runs: other })])).toEqual([
    'with equal seeds they saw different numbers of tokens (seed 2: lora 40,002, mora 40,003)',
  ]);
});

test('adapters may be 5 % apart in what they train and not more', () => {
  const two = (count: number): ComparedArm[] => [arm('lora'), arm('mora', { trainableParameters: count })];
  expect(notComparable(two(1050))).toEqual([]);
  expect(notComparable(two(1051))).toEqual([
    {
      factor: 'trainable_parameters',
      arms: ['lora', 'mora'],
      sentence: 'mora trains 1,051 parameters and lora 1,000, 5.1 % more; at most 5 % is comparable',
    },
  ]);
  expect(notComparable(two(4000), { varies: ['trainable_parameters'] })).toEqual([]);
});

test('full fine-tuning is labelled as the yardstick with its multiple of the adapters', () => {
  const full = arm('none', { trainableParameters: 43_210 });
  const arms = [arm('lora'), arm('mora', { trainableParameters: 1010 }), full];
  expect(yardstickLabel(full, arms)).toBe('yardstick, 43× the parameters');
  expect(yardstickLabel({ ...full, trainableParameters: 2500 }, arms)).toBe('yardstick, 2.5× the parameters');
  expect(yardstickLabel(full, [full])).toBe('yardstick');
  expect(yardstickLabel(arm('lora'), arms)).toBeNull();
});

test('a rate at either edge of its grid is a reason', () => {
  expect(
    sentences([
      arm('lora', { learningRate: 1e-2, runs: runsWith().map((one) => ({ ...one, score: -one.learningRate })) }),
    ]),
  ).toEqual(['the learning rate of lora, 0.01, lies at the edge of its grid: no larger one was tried']);
  expect(
    sentences([
      arm('lora', { learningRate: 1e-4, runs: runsWith().map((one) => ({ ...one, score: one.learningRate })) }),
    ]),
  ).toEqual(['the learning rate of lora, 0.0001, lies at the edge of its grid: no smaller one was tried']);
});

test('a rate that was the only one lies at both edges', () => {
  const runs = runsWith().filter((one) => one.learningRate === 1e-3);
  expect(notComparable([arm('lora', { runs })]).map(({ factor }) => factor)).toEqual([
    'learning_rate',
    'learning_rate',
  ]);
  expect(notComparable([arm('lora', { runs })], { varies: ['learning_rate'] })).toEqual([]);
});

test.each([1.5, 1.2])('a neighbour that is not worse (%d beside 1.5) is a reason', (score) => {
  const runs = runsWith().map((one) => (one.learningRate === 1e-4 ? { ...one, score } : one));
  expect(sentences([arm('lora', { runs })])).toEqual([
    'lora was not worse at the smaller learning rate 0.0001 than at its own, 0.001',
  ]);
});

test('a neighbour is compared over the seeds that both rates have', () => {
  // Seed 2 is a bad one for every rate: in the mean of all, 1e-3 would seem worse than 1e-2, which was tried with seed 1 alone.
  const runs = [run(1, 1e-4, 2.1), run(1, 1e-3, 1.5), run(2, 1e-3, 9), run(1, 1e-2, 3)];
  expect(notComparable([arm('lora', { runs })])).toEqual([]);
});

test('a neighbour that diverged is worse; an arm that diverged itself has no optimum', () => {
  const diverged = (rate: number) =>
    runsWith().map((one) => (one.learningRate === rate ? { ...one, score: rate === 1e-2 ? null : Number.NaN } : one));
  expect(notComparable([arm('lora', { runs: diverged(1e-2) })])).toEqual([]);
  expect(notComparable([arm('lora', { runs: diverged(1e-3) })])).toHaveLength(2);
});

test('of a score that should be large the neighbours must be smaller', () => {
  const accuracy = runsWith().map((one) => ({ ...one, score: one.learningRate === 1e-3 ? 0.7 : 0.6 }));
  expect(notComparable([arm('lora', { runs: accuracy })], { lowerIsBetter: false })).toEqual([]);
  expect(notComparable([arm('lora', { runs: accuracy })])).toHaveLength(2);
});

test('one seed, other seeds and no run at the reported rate are reasons', () => {
  const only = (...seeds: number[]) => runsWith().filter(({ seed }) => seeds.includes(seed));
  const one = 'lora has one seed, so nothing says how much chance there is in its figure';
  expect(sentences([arm('lora', { runs: only(1) })])).toEqual([one]);
  expect(sentences([arm('lora', { runs: only(1) }), arm('mora')])).toEqual([
    one,
    'their seeds differ (lora: 1; mora: 1, 2)',
  ]);
  expect(sentences([arm('lora', { runs: only(1) }), arm('mora')], { varies: ['seeds'] })).toEqual([]);
  expect(sentences([arm('lora', { learningRate: 5e-4 })])).toEqual([
    'lora has no run at its learning rate 0.0005',
    'lora has no run at the rate that is reported',
  ]);
});

test('what every factor may be is varied at once, and no arm is no comparison', () => {
  const arms = [arm('lora', { runs: [] }), arm('mora', { trainableParameters: 9 })];
  expect(notComparable(arms).length).toBeGreaterThan(2);
  expect(notComparable(arms, { varies: FACTORS })).toEqual([]);
  expect(notComparable([])).toEqual([]);
});
