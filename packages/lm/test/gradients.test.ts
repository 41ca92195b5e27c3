import { loadTf, type Tensor } from '@moraine/engine';
import { expect, test } from 'vitest';
import { headLoss, headScores } from '../src/head-loss.js';
import { attentionMask, rotaryTables } from '../src/model.js';
import { addBias, attention, embedding, frozenLinear, gatedUnit, linear, rmsNorm } from '../src/ops.js';
import { plainAttention, plainCrossEntropySum, plainGeglu, plainRmsNorm, plainSwiglu } from './plain.js';

// Expected values: the gradient that tfjs derives by itself from the plain composition in plain.ts.
const tf = loadTf();
const random = (shape: number[], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed) as Tensor;

/** Largest difference of value and gradients between two functions of the same inputs, under a random projection of the output. */
function difference(f: (...xs: Tensor[]) => Tensor, g: (...xs: Tensor[]) => Tensor, inputs: Tensor[]): number {
  return tf.tidy(() => {
    const weight = random(f(...inputs).shape as number[], 99);
    const run = (h: typeof f) =>
      tf.valueAndGrads(((...xs: Tensor[]) => tf.sum(tf.mul(h(...xs), weight))) as never)(inputs);
    const [a, b] = [run(f), run(g)];
    const all = [f(...inputs).sub(g(...inputs)), ...a.grads.map((grad, i) => tf.sub(grad, b.grads[i] as Tensor))];
    return Math.max(...all.map((d) => tf.max(tf.abs(d)).dataSync()[0] ?? Number.NaN));
  });
}

test('linear layers have the gradients of a matrix product', () => {
  const [x, w] = [random([6, 5], 1), random([4, 5], 2)];
  const plain = (a: Tensor, b: Tensor) => tf.matMul(a, b, false, true);
  expect(difference(linear as never, plain as never, [x, w])).toBeLessThan(1e-5);
  expect(
    difference(
      (a) => frozenLinear(a as Tensor, w),
      (a) => plain(a as Tensor, w),
      [x],
    ),
  ).toBeLessThan(1e-5);
});

test('a repeated id adds up its gradients', () => {
  const ids = tf.tensor1d([2, 0, 2, 2, 1], 'int32');
  const table = random([4, 3], 3);
  expect(
    difference(
      (t) => embedding(t as Tensor, ids),
      (t) => tf.gather(t as Tensor, ids),
      [table],
    ),
  ).toBeLessThan(1e-5);
});

test('the norm has the gradients of its formula, with a trained and a frozen weight', () => {
  const [x, w] = [random([7, 16], 4), random([16], 5)];
  const trained = (a: Tensor, b: Tensor) => rmsNorm(a, b, 1e-5, true);
  const plain = (a: Tensor, b: Tensor) => plainRmsNorm(a, b, 1e-5);
  expect(difference(trained as never, plain as never, [x, w])).toBeLessThan(1e-5);
  expect(
    difference(
      (a) => rmsNorm(a as Tensor, w, 1e-5, false),
      (a) => plain(a as Tensor, w),
      [x],
    ),
  ).toBeLessThan(1e-5);
});

test.each([
  ['silu', plainSwiglu],
  ['gelu_tanh', plainGeglu],
] as const)('the gated unit has the gradients of its formula: %s', (activation, plain) => {
  const unit = (gate: Tensor, up: Tensor) => gatedUnit(activation, gate, up);
  expect(difference(unit as never, plain as never, [random([5, 9], 6), random([5, 9], 7)])).toBeLessThan(1e-5);
});

test('a bias has the gradients of a sum, trained or frozen', () => {
  const [y, b] = [random([6, 4], 21), random([4], 22)];
  const trained = (a: Tensor, bias: Tensor) => addBias(a, bias, true);
  expect(difference(trained as never, tf.add as never, [y, b])).toBeLessThan(1e-5);
  expect(
    difference(
      (a) => addBias(a as Tensor, b, false),
      (a) => tf.add(a as Tensor, b),
      [y],
    ),
  ).toBeLessThan(1e-5);
});

test.each([
  ['one key head a query head', 4, 4, false],
  ['two query heads a key head, packed documents', 4, 2, true],
  ['one key head for all, packed documents', 4, 1, true],
])('attention has the gradients of its formula: %s', (_, heads, kvHeads, packed) => {
  const [batch, time, headDim] = [2, 7, 8];
  const shape = { batch, time, heads, kvHeads, headDim };
  const segments = packed ? tf.tensor2d([1, 1, 1, 2, 2, 3, 3, 4, 5, 5, 5, 5, 5, 5], [batch, time], 'int32') : undefined;
  const sizes = { heads, kvHeads, headDim, attentionScale: 1 / Math.sqrt(headDim) };
  const rotary = rotaryTables(sizes, { theta: 10_000, width: headDim, scaling: null }, batch, time);
  const mask = attentionMask(batch, time, segments, null);
  const inputs = [
    random([batch * time, heads * headDim], 8),
    random([batch * time, kvHeads * headDim], 9),
    random([batch * time, kvHeads * headDim], 10),
  ];
  const fast = (q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, rotary, mask, shape);
  const plain = (q: Tensor, k: Tensor, v: Tensor) => plainAttention(q, k, v, rotary, mask, shape);
  expect(difference(fast as never, plain as never, inputs)).toBeLessThan(2e-5);
  // Some weights dropped, the others scaled: another gradient, and that of the formula too.
  const keep = tf.mul(tf.cast(tf.greater(random([batch, heads, time, time], 31), -0.3), 'float32'), 1.6) as Tensor;
  const dropped = (q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, rotary, mask, shape, keep);
  const plainDropped = (q: Tensor, k: Tensor, v: Tensor) => plainAttention(q, k, v, rotary, mask, shape, keep);
  expect(difference(dropped as never, plainDropped as never, inputs)).toBeLessThan(2e-5);
  expect(difference(dropped as never, plain as never, inputs)).toBeGreaterThan(0.01);
});

// 140 positions of a vocabulary of 120,000 make two chunks of 128 rows; with 20 counted positions the second one is skipped.
test.each([
  ['one chunk', 11, 6, 4],
  ['two chunks', 120_000, 140, 140],
  ['two chunks, the second partly padding', 120_000, 140, 137],
  ['two chunks, the second skipped', 120_000, 140, 20],
])(
  'head and loss have the gradients of a one-hot cross entropy over the counted rows: %s',
  (_, vocabulary, rows, n) => {
    const hidden = random([rows, 8], 11);
    const weight = random([vocabulary, 8], 12);
    const targets = tf.tensor1d(
      Array.from({ length: rows }, (_unused, i) => (i * 7919) % vocabulary),
      'int32',
    );
    const counted = tf.tensor1d(Array.from({ length: rows }, (_unused, i) => (i < n ? 1 : 0)));
    const input = { targets: targets as Tensor, count: tf.scalar(n, 'int32') as Tensor };
    const plain = (h: Tensor, w: Tensor) =>
      plainCrossEntropySum(tf.matMul(h, w as never, false, true), targets, counted as Tensor);
    const close = (f: (...xs: Tensor[]) => Tensor, g: (...xs: Tensor[]) => Tensor, inputs: Tensor[]) =>
      expect(difference(f, g, inputs)).toBeLessThan(5e-4); // values near 500, float32
    close(
      (h) => headLoss({ ...input, hidden: h as Tensor, weight }, false).lossSum,
      (h) => plain(h as Tensor, weight),
      [hidden],
    );
    close((h, w) => headLoss({ ...input, hidden: h as Tensor, weight: w as Tensor }, true).lossSum, plain as never, [
      hidden,
      weight,
    ]);
    const { losses, best } = headScores({ ...input, hidden, weight });
    const logits = tf.matMul(hidden, weight as never, false, true);
    const perRow = [...Array(n).keys()].map((i) => (losses.arraySync() as number[])[i] ?? 0);
    const sum = perRow.reduce((a, b) => a + b, 0);
    expect(Math.abs(sum - (plain(hidden, weight).dataSync()[0] ?? 0))).toBeLessThan(1e-2);
    expect([...best.dataSync()].slice(0, n)).toEqual([...tf.argMax(logits, 1).dataSync()].slice(0, n));
  },
);

// Expected: tfjs's own gradient of the formula, over all rows at once. 140 rows of 120,000 tokens are two chunks, as are 300 of few.
test.each([
  ['one chunk', 13, 7, 5, null],
  ['two chunks', 120_000, 140, 137, null],
  ['on target rows', 13, 7, 5, 'task'],
  ['on source rows, in two chunks', 13, 300, 280, 'replay'],
] as const)(
  'the divergence from the base has the value and the gradients of its formula: %s',
  (_, vocabulary, rows, n, on) => {
    const [hidden, baseHidden, weight] = [random([rows, 8], 31), random([rows, 8], 32), random([vocabulary, 8], 33)];
    const targets = tf.tensor1d(
      Array.from({ length: rows }, (_unused, i) => (i * 7919) % vocabulary),
      'int32',
    ) as Tensor;
    const counted = tf.tensor1d(Array.from({ length: rows }, (_unused, i) => (i < n ? 1 : 0))) as Tensor;
    const base = { hidden: baseHidden, weight: random([vocabulary, 8], 34) };
    const isSource = (i: number): boolean => i % 3 === 0;
    const numbers = (of: (i: number) => boolean) =>
      tf.tensor1d(Array.from({ length: rows }, (_unused, i) => (of(i) ? 1 : 0))) as Tensor;
    const sources = on === null ? undefined : numbers(isSource);
    const pulled = numbers((i) => i < n && (on === null || isSource(i) === (on === 'replay')));
    const input = { targets, count: tf.scalar(n, 'int32') as Tensor, base, sources };
    const BETA = 0.7;
    const pull = { weight: BETA, on: on ?? 'task' };
    const divergences = (h: Tensor, w: Tensor) => {
      const p = tf.logSoftmax(tf.matMul(base.hidden, base.weight as never, false, true));
      const q = tf.logSoftmax(tf.matMul(h, w as never, false, true));
      return tf.sum(tf.mul(tf.exp(p), tf.sub(p, q)), 1) as Tensor;
    };
    const plain = ((h: Tensor, w: Tensor) =>
      tf.add(
        plainCrossEntropySum(tf.matMul(h, w as never, false, true), targets, counted),
        tf.mul(BETA, tf.sum(tf.mul(divergences(h, w), pulled))),
      )) as never;
    const fast = ((h: Tensor, w: Tensor) => headLoss({ ...input, hidden: h, weight: w }, true, pull).lossSum) as never;
    const [ours, theirs] = [fast, plain].map((f) => tf.valueAndGrads(f)([hidden, weight]).grads);
    for (const [i, grad] of (theirs ?? []).entries())
      expect(tf.max(tf.abs(tf.sub(grad, ours?.[i] as Tensor))).dataSync()[0], `gradient ${i}`).toBeLessThan(5e-4);
    const { klSum, lossSum, sourceLoss } = headLoss({ ...input, hidden, weight }, true, pull);
    const logits = tf.matMul(hidden, weight as never, false, true);
    const ofSources =
      on === null
        ? 0
        : plainCrossEntropySum(
            logits,
            targets,
            numbers((i) => i < n && isSource(i)),
          );
    expect(sourceLoss.dataSync()[0]).toBeCloseTo(typeof ofSources === 'number' ? 0 : (ofSources.dataSync()[0] ?? 0), 2);
    expect(lossSum.dataSync()[0]).toBeCloseTo(plainCrossEntropySum(logits, targets, counted).dataSync()[0] ?? 0, 2);
    const expected = tf.sum(tf.mul(divergences(hidden, weight), pulled)).dataSync()[0] ?? 0;
    expect(Math.abs((klSum.dataSync()[0] ?? 0) / expected - 1)).toBeLessThan(1e-5);
    const scored = headScores({ ...input, hidden, weight }).divergences as Tensor;
    const perRow = tf.slice(divergences(hidden, weight), 0, n);
    expect(tf.max(tf.abs(tf.sub(tf.slice(scored, 0, n), perRow))).dataSync()[0]).toBeLessThan(1e-3);
  },
);

test('the divergence of a model from itself is exactly 0, and so is its gradient', () => {
  const [hidden, weight] = [random([5, 8], 41), random([30, 8], 42)];
  const input = { targets: tf.tensor1d([1, 2, 3, 4, 5], 'int32') as Tensor, count: tf.scalar(5, 'int32') as Tensor };
  const base = { hidden, weight };
  expect(headLoss({ ...input, hidden, weight, base }, false, { weight: 1, on: 'task' }).klSum.dataSync()[0]).toBe(0);
  const grad = (beta: number) =>
    tf.grad(
      ((h: Tensor) =>
        headLoss({ ...input, hidden: h, weight, base }, false, { weight: beta, on: 'task' }).lossSum) as never,
    )(hidden);
  expect([...grad(3).dataSync()]).toEqual([...grad(0).dataSync()]);
});
