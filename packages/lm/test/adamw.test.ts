import { compile, loadTf, type NumericMode } from '@moraine/engine';
import { expect, test } from 'vitest';
import { adamwFeeds, clipFactor, globalNorm } from '../src/optim/adamw.js';
import { learningRateAt, type Schedule } from '../src/optim/schedule.js';
import { applySignature, stateNames } from '../src/step.js';

const tf = loadTf();
const hyper = { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.1, maxGradNorm: 0 };
const modes: NumericMode[] = ['eager', 'plain'];

/** PyTorch's documented algorithm in float64 for one number, written out step by step. */
function torchAdamw(start: number, grads: readonly number[], lr: number, decay: number): number {
  let [p, m, v] = [start, 0, 0];
  for (const [i, g] of grads.entries()) {
    p -= lr * decay * p;
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    p -= (lr * (m / (1 - 0.9 ** (i + 1)))) / (Math.sqrt(v / (1 - 0.999 ** (i + 1))) + 1e-8);
  }
  return p;
}

/** One number in a tensor of that shape, after updates by `grads`. */
async function run(mode: NumericMode, shape: number[], start: number, grads: readonly number[], lr: number) {
  const { value, moment1, moment2, grad } = stateNames('w');
  const variables = new Map([value, moment1, moment2, grad].map((name) => [name, { shape }]));
  const signatures = { apply: applySignature([{ name: value, shape }], hyper) };
  const session = await compile({ variables, signatures }, { mode });
  const write = (name: string, x: number) => session.write(new Map([[name, { shape, data: Float32Array.of(x) }]]));
  write(value, start);
  for (const [i, g] of grads.entries()) {
    write(grad, 2 * g);
    session.run('apply', { ...adamwFeeds(i + 1, lr, hyper), perToken: 0.5 });
    expect(session.read([grad]).get(grad)?.data[0]).toBe(0);
  }
  const result = session.read([value]).get(value)?.data[0];
  session.dispose();
  return result;
}

// By hand for 0.5, gradient 0.2, rate 0.1, decay 0.1: decayed 0.495; m = 0.02, v = 4e-5; both corrected: 0.2 and 0.04, root 0.2;
// 0.495 - 0.1 · 0.2 / (0.2 + 1e-8) = 0.395000005.
test.each(modes)('the first step of a matrix is the one computed by hand, with decay (%s)', async (mode) => {
  expect(await run(mode, [1, 1], 0.5, [0.2], 0.1)).toBeCloseTo(0.395000005, 6);
});

test.each(modes)('five steps follow the formula of PyTorch; vectors do not decay (%s)', async (mode) => {
  const grads = [0.2, -1.5, 0.03, 0, 4];
  expect(await run(mode, [1, 1], 0.5, grads, 0.01)).toBeCloseTo(torchAdamw(0.5, grads, 0.01, 0.1), 6);
  expect(await run(mode, [1], 0.5, grads, 0.01)).toBeCloseTo(torchAdamw(0.5, grads, 0.01, 0), 6);
});

test('gradients above the norm are scaled to it, smaller ones are left alone', () => {
  const norm = globalNorm([tf.tensor1d([3, 0]), tf.tensor2d([[4]])]);
  expect(norm.dataSync()[0]).toBeCloseTo(5, 6);
  expect(clipFactor(norm, 1).dataSync()[0]).toBeCloseTo(1 / (5 + 1e-6), 6);
  expect(clipFactor(norm, 10).dataSync()[0]).toBe(1);
});

test('the rate warms up linearly, then keeps, falls on a line or on a cosine to its minimum', () => {
  const schedule: Schedule = { type: 'cosine', learningRate: 1, warmupSteps: 4, totalSteps: 14, minRatio: 0.2 };
  expect([1, 2, 4, 5].map((step) => learningRateAt(schedule, step))).toEqual([0.25, 0.5, 1, 1]);
  expect(learningRateAt(schedule, 10)).toBeCloseTo(0.2 + 0.8 * 0.5, 12);
  expect(learningRateAt(schedule, 15)).toBeCloseTo(0.2, 12);
  expect(learningRateAt({ ...schedule, type: 'linear' }, 10)).toBeCloseTo(0.6, 12);
  expect(learningRateAt({ ...schedule, type: 'constant' }, 14)).toBe(1);
});
