import { AppError } from '@moraine/contract';
import { linearShapes } from '@moraine/contract/plan';
import { loadTf } from '@moraine/engine';
import { expect, test } from 'vitest';
import {
  type Adapter,
  type Batch,
  createTrainer,
  lora,
  mora,
  type Trainer,
  type TrainerOptions,
} from '../src/index.js';
import { batchOf, idsOf, tinyConfig, tinyWeights } from './tiny.js';

const tf = loadTf();
const paths = linearShapes(tinyConfig).map(({ name }) => name);
const loraAdapter = (dropout = 0): Adapter => ({
  method: lora({ rank: 4, alpha: 8, useRslora: false }),
  paths,
  dropout,
});
const adapters: [string, Adapter | null][] = [
  ['full', null],
  ['LoRA', loraAdapter()],
  ['MoRA type 1', { method: mora({ rank: 4, type: 1 }), paths, dropout: 0 }],
  ['MoRA type 6', { method: mora({ rank: 4, type: 6 }), paths, dropout: 0 }],
];

function trainer(adapter: Adapter | null, options: Partial<TrainerOptions> = {}): Trainer {
  return createTrainer({
    config: tinyConfig,
    weights: options.weights ?? tinyWeights(),
    adapter,
    optimizer: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, maxGradNorm: 1 },
    schedule: { type: 'constant', learningRate: 5e-3, warmupSteps: 0, totalSteps: 100, minRatio: 0 },
    seed: 11,
    ...options,
  });
}

const mixedBatch = () => batchOf([idsOf(1, 12), idsOf(2, 7), idsOf(3, 10), idsOf(4, 4)]);
const losses = (run: Trainer, batches: readonly Batch[], steps: number) =>
  Array.from({ length: steps }, () => run.step(batches).loss);

test.each(adapters)('%s: a step leaves no tensor behind', (_, adapter) => {
  const run = trainer(adapter, adapter ? { adapter: { ...adapter, dropout: 0.1 } } : {});
  run.step([mixedBatch(), mixedBatch()]);
  const before = tf.memory().numTensors;
  for (let i = 0; i < 3; i++) run.step([mixedBatch(), mixedBatch()]);
  expect(tf.memory().numTensors).toBe(before);
});

test('a disposed trainer leaves the base and nothing else', () => {
  const weights = tinyWeights();
  const before = tf.memory().numTensors;
  const run = trainer(loraAdapter(), { weights });
  run.step([mixedBatch()]);
  run.dispose();
  expect(tf.memory().numTensors).toBe(before);
});

// With frozen, tied embeddings of this size no adapter can get below about 0.15 nats: the logits are bounded by the last norm.
test.each(adapters)('%s: one batch is learned by heart', (_, adapter) => {
  const schedule = { type: 'constant', learningRate: 0.02, warmupSteps: 0, totalSteps: 1, minRatio: 0 } as const;
  const run = trainer(adapter, { schedule });
  const batch = batchOf([idsOf(1, 8), idsOf(2, 8)]);
  const results = Array.from({ length: 50 }, () => run.step([batch]));
  expect(results[0]?.loss).toBeGreaterThan(2);
  expect(results.at(-1)).toMatchObject({ supervisedTokens: 14, correctTokens: 14 });
  expect(results.at(-1)?.loss).toBeLessThan(0.25);
});

test.each(adapters)(
  '%s: four rows in one micro-batch equal four micro-batches, whatever their lengths',
  (_, adapter) => {
    const one = trainer(adapter);
    const four = trainer(adapter);
    const rows = [idsOf(1, 12), idsOf(2, 7), idsOf(3, 10), idsOf(4, 4)];
    for (let i = 0; i < 4; i++) {
      const a = one.step([batchOf(rows)]);
      const b = four.step(rows.map((row) => batchOf([row])));
      expect(b.supervisedTokens).toBe(11 + 6 + 9 + 3);
      expect(b.loss).toBeCloseTo(a.loss, 4);
      expect(b.gradNorm).toBeCloseTo(a.gradNorm, 3);
      expect(b.correctTokens).toBe(a.correctTokens);
    }
  },
);

test('documents packed into one row train as documents in rows of their own', () => {
  const [a, b] = [idsOf(5, 6), idsOf(6, 9)];
  const packed = batchOf([[...a, ...b]], [[...a.map(() => 0), ...b.map(() => 1)]]);
  const apart = batchOf([a, b]);
  const [one, two] = [trainer(null), trainer(null)];
  for (let i = 0; i < 4; i++) {
    const [x, y] = [one.step([packed]), two.step([apart])];
    expect(x.supervisedTokens).toBe(5 + 8);
    expect(x.supervisedTokens).toBe(y.supervisedTokens);
    expect(x.loss).toBeCloseTo(y.loss, 5);
    expect(x.gradNorm).toBeCloseTo(y.gradNorm, 3);
  }
});

test.each([
  ['full', null],
  ['LoRA with dropout', loraAdapter(0.2)],
])('%s: a resumed run repeats the uninterrupted one bit for bit', (_, adapter) => {
  const batches = (step: number) => [batchOf([idsOf(step, 9), idsOf(step + 50, 5)]), batchOf([idsOf(step + 99, 7)])];
  const whole = trainer(adapter);
  const expected = Array.from({ length: 8 }, (_unused, i) => whole.step(batches(i)));
  const first = trainer(adapter);
  for (let i = 0; i < 5; i++) first.step(batches(i));
  const state = first.state();
  first.step(batches(77)); // what happens after the state was taken does not matter
  const second = trainer(adapter, { seed: 11 });
  second.load(state);
  const resumed = [5, 6, 7].map((i) => second.step(batches(i)));
  expect(resumed).toEqual(expected.slice(5));
  expect(second.state()).toEqual(whole.state());
});

test('dropout changes the loss from step to step and the seed decides how', () => {
  const still = { type: 'constant', learningRate: 1e-12, warmupSteps: 0, totalSteps: 9, minRatio: 0 } as const;
  const warm = trainer(loraAdapter());
  for (let i = 0; i < 20; i++) warm.step([mixedBatch()]);
  const after = (dropout: number, seed: number) => {
    const run = trainer(loraAdapter(dropout), { schedule: still, seed });
    run.load(warm.state());
    return losses(run, [mixedBatch()], 3);
  };
  const [a = 0, b = 0] = after(0.3, 1);
  expect(Math.abs(a - b)).toBeGreaterThan(1e-4);
  expect(after(0.3, 1)).toEqual(after(0.3, 1));
  expect(after(0.3, 2)).not.toEqual(after(0.3, 1));
  const [c = 0, d = 0] = after(0, 1);
  expect(Math.abs(c - d)).toBeLessThan(1e-5);
});

test('a state of another method is refused by name of the difference', () => {
  const state = trainer(loraAdapter()).state();
  expect(() =>
    trainer({ ...loraAdapter(), method: lora({ rank: 2, alpha: 4, useRslora: false }) }).load(state),
  ).toThrow(/q_proj\.lora_A has shape \[4, 32\], this run needs \[2, 32\]/);
  expect(() => trainer(null).load(state)).toThrow(/28 variables/);
});

test('a loss that is not a number is an error with its step and changes nothing', () => {
  const weights = tinyWeights();
  weights.set('model.norm.weight', tf.fill([tinyConfig.hiddenSize], Number.NaN));
  const run = trainer(loraAdapter(), { weights });
  const before = tf.memory().numTensors;
  const problem = (() => {
    try {
      run.step([mixedBatch()]);
    } catch (error) {
      return error;
    }
  })();
  expect(problem).toBeInstanceOf(AppError);
  expect(problem).toMatchObject({ code: 'nan_loss' });
  expect(String(problem)).toContain('Step 1');
  expect(run.steps).toBe(0);
  expect(tf.memory().numTensors).toBe(before);
});

test('a step without a supervised token says so', () => {
  const silent = { ...mixedBatch(), labels: new Int32Array(48).fill(-100) };
  expect(() => trainer(null).step([silent])).toThrow(/Step 1 has no supervised token/);
});
