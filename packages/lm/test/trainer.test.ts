import { AppError, type Batch } from '@moraine/contract';
import { linearShapes } from '@moraine/contract/plan';
import { loadTf, statelessRandomUniform, type Tensor } from '@moraine/engine';
import { describe, expect, test } from 'vitest';
import {
  type Adapter,
  createMethod,
  createNet,
  createOptimizer,
  createTrainer,
  headLogits,
  type MethodOptions,
  supervised,
  type Trainer,
  type TrainerOptions,
} from '../src/index.js';
import { attentionMask, decoderStates, rotaryTables } from '../src/model.js';
import { meanGradient, type Optimizer, slotName } from '../src/optim/optimizer.js';
import { mix32 } from '../src/random.js';
import { adapterRows } from './golden-set.js';
import { plainAttention, plainCrossEntropySum } from './plain.js';
import { batchOf, hostWeights, idsOf, tinyConfig, tinyWeights } from './tiny.js';

const tf = loadTf();
const paths = linearShapes(tinyConfig).map(({ name }) => name);
const loraAdapter = (dropout = 0): Adapter => ({
  method: createMethod({ type: 'lora', rank: 4, alpha: 8, use_rslora: false }),
  paths,
  dropout,
});
const adapters: [string, Adapter | null][] = [
  ['full', null],
  ['LoRA', loraAdapter()],
  ['MoRA type 1', { method: createMethod({ type: 'mora', rank: 4, mora_type: 1 }), paths, dropout: 0 }],
  ['MoRA type 6', { method: createMethod({ type: 'mora', rank: 4, mora_type: 6 }), paths, dropout: 0 }],
];

const shapes = [
  { batch: 1, time: 16 },
  { batch: 4, time: 16 },
];

const adamw = { type: 'adamw', beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0.01, maxGradNorm: 1 } as const;

function trainer(adapter: Adapter | null, options: Partial<TrainerOptions> = {}): Promise<Trainer> {
  return createTrainer({
    config: tinyConfig,
    weights: hostWeights(),
    adapter,
    optimizer: createOptimizer(adamw),
    schedule: { type: 'constant', learningRate: 5e-3, warmupSteps: 0, totalSteps: 100, minRatio: 0 },
    seed: 11,
    shapes,
    evaluation: shapes,
    ...options,
  });
}

const mixedBatch = () => batchOf([idsOf(1, 12), idsOf(2, 7), idsOf(3, 10), idsOf(4, 4)]);
const losses = (run: Trainer, batches: readonly Batch[], steps: number) =>
  Array.from({ length: steps }, () => run.step(batches).loss);

test.each(adapters)('%s: a step leaves no tensor behind, a disposed trainer nothing', async (_, adapter) => {
  const start = tf.memory().numTensors;
  const run = await trainer(adapter && { ...adapter, dropout: 0.1 });
  run.step([mixedBatch(), mixedBatch()]);
  const before = tf.memory().numTensors;
  for (let i = 0; i < 3; i++) run.step([mixedBatch(), mixedBatch()]);
  expect(tf.memory().numTensors).toBe(before);
  run.dispose();
  expect(tf.memory().numTensors).toBe(start);
});

// With frozen, tied embeddings of this size no adapter can get below about 0.15 nats: the logits are bounded by the last norm.
// Eager steps are the same steps (below, and to PyTorch's in golden.test.ts), in five times the time.
test.each(adapters)('%s: one batch is learned by heart', async (_, adapter) => {
  const schedule = { type: 'constant', learningRate: 0.02, warmupSteps: 0, totalSteps: 1, minRatio: 0 } as const;
  const run = await trainer(adapter, { schedule });
  const batch = batchOf([idsOf(1, 8), idsOf(2, 8)]);
  const results = Array.from({ length: 50 }, () => run.step([batch]));
  expect(results[0]?.loss).toBeGreaterThan(2);
  expect(results.at(-1)).toMatchObject({ supervisedTokens: 14, correctTokens: 14 });
  expect(results.at(-1)?.loss).toBeLessThan(0.25);
  run.dispose();
});

test.each(adapters)('%s: traced and eager steps agree, dropout included', async (_, adapter) => {
  const own = adapter && { ...adapter, dropout: 0.1 };
  const [eager, traced] = [await trainer(own, { mode: 'eager' }), await trainer(own, { mode: 'plain' })];
  const batches = (step: number) => [batchOf([idsOf(step, 9), idsOf(step + 50, 5)]), batchOf([idsOf(step + 99, 7)])];
  for (let i = 0; i < 5; i++) {
    const [a, b] = [eager.step(batches(i)), traced.step(batches(i))];
    expect(Math.abs(a.loss / b.loss - 1)).toBeLessThan(1e-5);
    expect(Math.abs(a.gradNorm / b.gradNorm - 1)).toBeLessThan(1e-4);
  }
  const [x, y] = [eager.score(mixedBatch()), traced.score(mixedBatch())];
  expect(x.best).toEqual(y.best);
  for (const [i, loss] of x.losses.entries()) expect(y.losses[i]).toBeCloseTo(loss, 4);
  eager.dispose();
  traced.dispose();
});

test.each(adapters)(
  '%s: four rows in one micro-batch equal four micro-batches, whatever their lengths',
  async (_, adapter) => {
    const one = await trainer(adapter);
    const four = await trainer(adapter);
    const rows = [idsOf(1, 12), idsOf(2, 7), idsOf(3, 10), idsOf(4, 4)];
    for (let i = 0; i < 4; i++) {
      const a = one.step([batchOf(rows)]);
      const b = four.step(rows.map((row) => batchOf([row])));
      expect(b.supervisedTokens).toBe(11 + 6 + 9 + 3);
      expect(b.loss).toBeCloseTo(a.loss, 4);
      expect(b.gradNorm).toBeCloseTo(a.gradNorm, 3);
      expect(b.correctTokens).toBe(a.correctTokens);
    }
    one.dispose();
    four.dispose();
  },
);

test('documents packed into one row train as documents in rows of their own', async () => {
  const [a, b] = [idsOf(5, 6), idsOf(6, 9)];
  const packed = batchOf([[...a, ...b]], [[...a.map(() => 0), ...b.map(() => 1)]]);
  const restarted = { ...packed, positions: Int32Array.from([...a.keys(), ...b.keys()]) };
  const apart = batchOf([a, b]);
  const runs = [await trainer(null), await trainer(null), await trainer(null)] as const;
  for (let i = 0; i < 4; i++) {
    const [x, y, z] = [runs[0].step([packed]), runs[1].step([apart]), runs[2].step([restarted])];
    expect(x.supervisedTokens).toBe(5 + 8);
    expect(x.supervisedTokens).toBe(y.supervisedTokens);
    expect(x.loss).toBeCloseTo(y.loss, 5);
    expect(z.loss).toBeCloseTo(y.loss, 5);
    expect(x.gradNorm).toBeCloseTo(y.gradNorm, 3);
  }
  for (const run of runs) run.dispose();
});

/** Every method of the golden matrix, with dropout, and full fine-tuning. */
const resumed: [string, Adapter | null][] = [
  ['full', null],
  ...adapterRows.map((row): [string, Adapter] => [row.name, { method: createMethod(row), paths, dropout: 0.2 }]),
];
/** Full fine-tuning has no inputs of an adapter to drop. */
const alsoDropped = (adapter: Adapter | null) => (adapter === null ? { attentionDropout: 0.2 } : {});

test.each(resumed)('%s: a resumed run repeats the uninterrupted one bit for bit', async (_, adapter) => {
  const batches = (step: number) => [batchOf([idsOf(step, 9), idsOf(step + 50, 5)]), batchOf([idsOf(step + 99, 7)])];
  const whole = await trainer(adapter, alsoDropped(adapter));
  const expected = Array.from({ length: 8 }, (_unused, i) => whole.step(batches(i)));
  const first = await trainer(adapter, alsoDropped(adapter));
  for (let i = 0; i < 5; i++) first.step(batches(i));
  const state = first.state();
  first.step(batches(77)); // what happens after the state was taken does not matter
  const second = await trainer(adapter, { ...alsoDropped(adapter), seed: 11 });
  second.load(state);
  const resumed = [5, 6, 7].map((i) => second.step(batches(i)));
  expect(resumed).toEqual(expected.slice(5));
  expect(second.state()).toEqual(whole.state());
  for (const run of [whole, first, second]) run.dispose();
});

test('weights trained whole beside an adapter are resumed bit for bit, and the others stay as they are', async () => {
  const whole = ['model.norm.weight', 'model.embed_tokens.weight'];
  const [run, first, second] = [
    await trainer(loraAdapter(0.2), { whole }),
    await trainer(loraAdapter(0.2), { whole }),
    await trainer(loraAdapter(0.2), { whole }),
  ] as const;
  const expected = losses(run, [mixedBatch()], 6);
  losses(first, [mixedBatch()], 3);
  second.load(first.state());
  expect(losses(second, [mixedBatch()], 3)).toEqual(expected.slice(3));
  expect(second.state()).toEqual(run.state());
  expect(run.parameterCount - 40 * 32 - 32).toBe((await trainer(loraAdapter())).parameterCount);
  for (const name of whole) expect(run.variables().get(name)?.data).not.toEqual(hostWeights().get(name)?.data);
  const alone = await trainer(null, { whole: ['model.norm.weight'] });
  alone.step([mixedBatch()]);
  expect([...alone.variables().keys()]).toEqual(['model.norm.weight']);
  for (const each of [run, first, second, alone]) each.dispose();
});

const restarted = (options: MethodOptions): Adapter => ({
  method: createMethod(options),
  paths,
  dropout: 0.1,
  restartEvery: 3,
});
const restartRows: [string, Adapter][] = [
  ['ReLoRA', restarted({ type: 'lora', rank: 4, alpha: 8, use_rslora: false, restart: { every: 3, warmup: 1 } })],
  ['ReMoRA', restarted({ type: 'mora', rank: 4, mora_type: 1, restart: { every: 3, warmup: 1 } })],
];

test.each(restartRows)(
  '%s: resumed before, at and after a restart it repeats the uninterrupted run bit for bit',
  async (_, adapter) => {
    const batches = (step: number) => [batchOf([idsOf(step, 9), idsOf(step + 50, 5)]), batchOf([idsOf(step + 99, 7)])];
    const whole = await trainer(adapter);
    const states = [whole.state()];
    const expected = Array.from({ length: 8 }, (_unused, i) => {
      const result = whole.step(batches(i));
      states.push(whole.state());
      return result;
    });
    for (const from of [2, 3, 4, 6]) {
      const again = await trainer(adapter);
      again.load(states[from] ?? whole.state());
      expect(Array.from({ length: 8 - from }, (_unused, i) => again.step(batches(from + i)))).toEqual(
        expected.slice(from),
      );
      expect(again.state()).toEqual(whole.state());
      again.dispose();
    }
    whole.dispose();
  },
);

test.each(restartRows)(
  '%s: a restart keeps what the model computes, and begins the adapter and its optimiser anew',
  async (_, adapter) => {
    const still = { type: 'constant', learningRate: 1e-12, warmupSteps: 0, totalSteps: 9, minRatio: 0 } as const;
    const run = await trainer({ ...adapter, dropout: 0 });
    for (let i = 0; i < 3; i++) run.step([mixedBatch()]);
    const [before, scores] = [run.state(), run.score(mixedBatch())];
    const quiet = await trainer({ ...adapter, dropout: 0 }, { schedule: still });
    quiet.load(before);
    quiet.step([mixedBatch()]);
    const after = quiet.state();
    for (const [i, loss] of quiet.score(mixedBatch()).losses.entries())
      expect(loss).toBeCloseTo(scores.losses[i] ?? 0, 4);
    const path = paths[0] ?? '';
    const size = (name: string, { trainable }: typeof after) =>
      Math.hypot(...(trainable.get(`${path}.${name}`)?.data ?? []));
    expect([size('merged', before), size('merged', after) > 0.01]).toEqual([0, true]);
    const trainedRole =
      [...before.trainable.keys()].find((name) => /lora_B|mora_M/.test(name))?.slice(path.length + 1) ?? '';
    expect(size(trainedRole, before)).toBeGreaterThan(0.01);
    expect(size(trainedRole, after)).toBeLessThan(1e-6);
    // The first step of Adam: a moment is (1 - beta) times the gradient, where old moments would be left.
    const moment = after.optimizer.get(`${path}.${trainedRole}.moment1`)?.data ?? new Float32Array();
    const old = before.optimizer.get(`${path}.${trainedRole}.moment1`)?.data ?? new Float32Array();
    const second = after.optimizer.get(`${path}.${trainedRole}.moment2`)?.data ?? new Float32Array();
    expect(moment).not.toEqual(old);
    for (const [i, m] of moment.entries())
      expect(Math.abs(0.001 * (m / 0.1) ** 2 - (second[i] ?? 0))).toBeLessThan(1e-4 * (second[i] ?? 0) + 1e-12);
    for (const each of [run, quiet]) each.dispose();
  },
);

test('ReMoRA goes on with the groups of the next type, ReLoRA with another A', async () => {
  const [lora, mora] = [await trainer(restartRows[0]?.[1] ?? null), await trainer(restartRows[1]?.[1] ?? null)];
  const [groups, factors] = [new Set<string>(), new Set<string>()];
  for (let i = 0; i < 13; i++) {
    for (const run of [lora, mora]) run.step([mixedBatch()]);
    const read = (run: Trainer, role: string) => [...run.variables([`${paths[0]}.${role}`]).values()][0]?.data ?? [];
    groups.add([...read(mora, 'mora_groups')].join());
    factors.add(read(lora, 'lora_A')[0]?.toFixed(1) ?? '');
  }
  expect([...groups]).toEqual(['1,1', '0,0', '0,1', '1,0']); // types 1, 2, 3, 4, then 1 again
  expect(factors.size).toBeGreaterThan(1);
  for (const run of [lora, mora]) run.dispose();
});

test('dropout changes the loss from step to step and the seed decides how', async () => {
  const still = { type: 'constant', learningRate: 1e-12, warmupSteps: 0, totalSteps: 9, minRatio: 0 } as const;
  const warm = await trainer(loraAdapter());
  for (let i = 0; i < 20; i++) warm.step([mixedBatch()]);
  const after = async (dropout: number, seed: number) => {
    const run = await trainer(loraAdapter(dropout), { schedule: still, seed });
    run.load(warm.state());
    const found = losses(run, [mixedBatch()], 3);
    run.dispose();
    return found;
  };
  const [a = 0, b = 0] = await after(0.3, 1);
  expect(Math.abs(a - b)).toBeGreaterThan(1e-4);
  expect(await after(0.3, 1)).toEqual([a, b, (await after(0.3, 1))[2]]);
  expect(await after(0.3, 2)).not.toEqual(await after(0.3, 1));
  const same = await trainer(loraAdapter(0.3), { schedule: still, seed: 1 });
  same.load(warm.state());
  const [twice = 0] = losses(same, [mixedBatch(), mixedBatch()], 1);
  expect(Math.abs(twice - a), 'micro-batches of a step have masks of their own').toBeGreaterThan(1e-4);
  same.dispose();
  const [c = 0, d = 0] = await after(0, 1);
  expect(Math.abs(c - d)).toBeLessThan(1e-5);
  warm.dispose();
});

/** The loss of the first step with attention's weights dropped out, in plain tfjs: masks drawn for (seed, step, micro-batch, layer), after the softmax. */
function lossDroppedOut(batch: Batch, p: number, seed: number, index = 0): number {
  const { heads, kvHeads, headDim, layers } = tinyConfig;
  const shape = { batch: batch.batch, time: batch.time, heads, kvHeads, headDim };
  const grid = (values: Int32Array) => tf.tensor2d(values, [batch.batch, batch.time], 'int32') as Tensor;
  const mask = attentionMask(batch.batch, batch.time, grid(batch.segments), null);
  const [first] = tinyConfig.layerAttention;
  const rotary = rotaryTables(tinyConfig, first?.rope ?? null, batch.batch, batch.time);
  const keeps = Array.from({ length: layers }, (_, layer) => {
    const own = tf.tensor1d([mix32(seed, 1, index), 2 ** 20 + layer], 'int32');
    const drawn = statelessRandomUniform([batch.batch, heads, batch.time, batch.time], own as Tensor);
    return tf.where(tf.less(drawn, p), tf.zerosLike(drawn), tf.fill(drawn.shape, 1 / (1 - p))) as Tensor;
  });
  const net = createNet({ weights: tinyWeights() });
  const hidden = decoderStates(net, tinyConfig, grid(batch.ids).reshape([-1]), (layer, q, k, v) =>
    plainAttention(q, k, v, rotary, mask, shape, keeps[layer]),
  );
  const { positions, targets } = supervised(batch);
  const logits = tf.gather(headLogits(net, tinyConfig, hidden), tf.tensor1d(positions, 'int32')) as Tensor;
  const sum = plainCrossEntropySum(logits, tf.tensor1d(targets, 'int32') as Tensor, tf.scalar(1) as Tensor);
  return (sum.dataSync()[0] ?? Number.NaN) / positions.length;
}

describe('attention dropout', () => {
  const packed = (): Batch => {
    const [a, b] = [idsOf(5, 7), idsOf(6, 9)];
    return batchOf([[...a, ...b], idsOf(7, 16)], [[...a.map(() => 0), ...b.map(() => 1)], Array(16).fill(0)]);
  };

  test.each(['plain', 'eager'] as const)(
    'drops weights after the softmax and scales the rest, in packed rows too: %s',
    async (mode) => {
      const batch = packed();
      const options = { mode, shapes: [batch], evaluation: [batch] };
      const [run, none] = [await trainer(null, { ...options, attentionDropout: 0.3 }), await trainer(null, options)];
      const [before, unchanged] = [run.score(batch), none.score(batch)];
      expect(before.losses, 'evaluation drops nothing').toEqual(unchanged.losses);
      const { loss } = run.step([batch]);
      expect(loss).toBeCloseTo(lossDroppedOut(batch, 0.3, 11), 4);
      expect(Math.abs(loss - none.step([batch]).loss)).toBeGreaterThan(1e-3);
      for (const each of [run, none]) each.dispose();
    },
  );

  test('acts beside the dropout of an adapter, each micro-batch and seed with masks of its own', async () => {
    const still = { type: 'constant', learningRate: 1e-12, warmupSteps: 0, totalSteps: 9, minRatio: 0 } as const;
    const batch = packed();
    const options = { schedule: still, shapes: [batch], attentionDropout: 0.3 };
    const firstLoss = async (own: Partial<TrainerOptions>, batches: Batch[]): Promise<number> => {
      const run = await trainer(loraAdapter(0.2), { ...options, ...own });
      const { loss } = run.step(batches);
      run.dispose();
      return loss;
    };
    // A fresh LoRA adds nothing, whatever of its inputs is dropped.
    const apart = [0, 1].map((index) => lossDroppedOut(batch, 0.3, 11, index));
    expect(await firstLoss({}, [batch])).toBeCloseTo(apart[0] ?? 0, 4);
    expect(await firstLoss({}, [batch, batch])).toBeCloseTo(((apart[0] ?? 0) + (apart[1] ?? 0)) / 2, 4);
    expect(await firstLoss({ seed: 12 }, [batch])).toBeCloseTo(lossDroppedOut(batch, 0.3, 12), 4);
    expect(Math.abs((apart[0] ?? 0) - (apart[1] ?? 0))).toBeGreaterThan(1e-3);
  });

  test('leaves the base that a run is compared with as it is: the divergence of a fresh adapter is that of the masks', async () => {
    const batch = packed();
    const options = { shapes: [batch], klToBase: 0 };
    const [dropped, whole] = [
      await trainer(loraAdapter(), { ...options, attentionDropout: 0.3 }),
      await trainer(loraAdapter(), options),
    ];
    expect(whole.step([batch]).klToBase).toBe(0);
    expect(dropped.step([batch]).klToBase).toBeGreaterThan(1e-3);
    for (const each of [dropped, whole]) each.dispose();
  });

  test('has the share of zeros that is asked for, other ones in each layer, and one value beside them', () => {
    const seed = tf.tensor1d([77, 0], 'int32') as Tensor;
    const net = createNet({ weights: tinyWeights(), dropout: { rate: 0, attention: 0.25, seed } });
    const [first, second] = [0, 1].map((layer) => [...(net.attentionKeep(layer, [2, 4, 32, 32])?.dataSync() ?? [])]);
    const zeros = (values: number[] = []) => values.filter((x) => x === 0).length / values.length;
    expect(new Set(first)).toEqual(new Set([0, Math.fround(1 / 0.75)]));
    // 8192 draws: the standard error of a share of a quarter is 0.005.
    expect(Math.abs(zeros(first) - 0.25)).toBeLessThan(0.02);
    const both = first?.filter((x, i) => x === 0 && second?.[i] === 0).length ?? 0;
    expect(Math.abs(both / 8192 - 0.25 ** 2)).toBeLessThan(0.012);
    expect(
      createNet({ weights: tinyWeights(), dropout: { rate: 0.5, seed } }).attentionKeep(0, [1, 1, 2, 2]),
    ).toBeUndefined();
  });
});

/** Momentum with one slot: an optimiser that the house does not have. */
const heavyBall: Optimizer = {
  slots: ['velocity'],
  scalarsAt: (step) => ({ momentum: 1 - 1 / step }),
  update: (gradient, scalars, scope) => {
    const { name, learningRate } = gradient;
    const slot = slotName(name, 'velocity');
    const kept = tf.mul(scope.read(slot), scalars.momentum ?? Number.NaN);
    const velocity = tf.add(kept, meanGradient(gradient)) as Tensor;
    scope.assign(slot, velocity);
    scope.assign(name, tf.sub(scope.read(name), tf.mul(velocity, learningRate)) as Tensor);
  },
};

test('an optimiser is its value: its slots are stored, and a resumed run repeats bit for bit', async () => {
  const [whole, first] = [
    await trainer(loraAdapter(), { optimizer: heavyBall }),
    await trainer(loraAdapter(), { optimizer: heavyBall }),
  ];
  const expected = losses(whole, [mixedBatch()], 6);
  losses(first, [mixedBatch()], 3);
  const state = first.state();
  expect([...state.optimizer.keys()]).toEqual([...state.trainable.keys()].map((name) => `${name}.velocity`));
  const second = await trainer(loraAdapter(), { optimizer: heavyBall });
  second.load(state);
  expect(losses(second, [mixedBatch()], 3)).toEqual(expected.slice(3));
  const other = await trainer(loraAdapter());
  expect(() => other.load(state)).toThrow(/it holds 28 tensors of its optimiser, this run's has 56/);
  for (const run of [whole, first, second, other]) run.dispose();
});

test('a state of another method is refused by name of the difference', async () => {
  const run = await trainer(loraAdapter());
  const state = run.state();
  const smaller = await trainer({
    ...loraAdapter(),
    method: createMethod({ type: 'lora', rank: 2, alpha: 4, use_rslora: false }),
  });
  expect(() => smaller.load(state)).toThrow(/q_proj\.lora_A has shape \[4, 32\], this run needs \[2, 32\]/);
  const full = await trainer(null);
  expect(() => full.load(state)).toThrow(/28 variables/);
  for (const each of [run, smaller, full]) each.dispose();
});

/** A state with one tensor more in a part, and numbers that would show if any of it was written. */
function stateWithMore(run: Trainer, part: 'trainable' | 'optimizer') {
  const state = run.state();
  for (const { data } of [...state.trainable.values(), ...state.optimizer.values()]) data.fill(0.5);
  state[part].set('model.extra', { shape: [2], data: new Float32Array(2) });
  return state;
}

test.each([
  ['a state of another optimiser', 'optimizer', /it holds 57 tensors of its optimiser, this run's has 56/],
  ['a state of more variables', 'trainable', /it holds 29 variables, this run trains 28/],
] as const)('%s is refused, and nothing of it is written', async (_, part, message) => {
  const run = await trainer(loraAdapter());
  const before = run.state();
  expect(() => run.load(stateWithMore(run, part))).toThrow(message);
  expect(run.state()).toEqual(before);
  run.dispose();
});

test('a loss that is not a number is an error with its step and changes nothing', async () => {
  const weights = hostWeights();
  const shape = [tinyConfig.hiddenSize];
  weights.set('model.norm.weight', { shape, data: new Float32Array(tinyConfig.hiddenSize).fill(Number.NaN) });
  const run = await trainer(loraAdapter(), { weights });
  const before = run.state();
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
  expect(run.state()).toEqual(before);
  run.dispose();
});

test('a step that fails half way leaves nothing for the next to add to', async () => {
  const [run, other] = [await trainer(loraAdapter()), await trainer(loraAdapter())];
  const tooLong = batchOf([idsOf(1, 17)]);
  expect(() => run.step([mixedBatch(), tooLong])).toThrow(/fits none/);
  expect(run.step([mixedBatch()])).toEqual(other.step([mixedBatch()]));
  expect(run.state()).toEqual(other.state());
  for (const each of [run, other]) each.dispose();
});

// A GPU would look up zeros, and a label past the end is another row's logit on any device.
test('a token that the vocabulary lacks is refused with its place', async () => {
  const run = await trainer(null);
  const [id, negative, label] = [mixedBatch(), mixedBatch(), mixedBatch()];
  id.ids[14] = 40;
  negative.ids[0] = -1;
  label.labels[1] = 40;
  for (const use of [(batch: Batch) => run.step([batch]), run.score]) {
    expect(() => use(id)).toThrow('The id 40 (row 1, token 2) is not in the vocabulary of 40.');
    expect(() => use(negative)).toThrow('The id -1 (row 0, token 0)');
    expect(() => use(label)).toThrow('The label 40 (row 0, token 1)');
  }
  run.dispose();
});

test('a step without a supervised token says so', async () => {
  const silent = { ...mixedBatch(), labels: new Int32Array(48).fill(-100) };
  const run = await trainer(null);
  expect(() => run.step([silent])).toThrow(/Step 1 has no supervised token/);
  run.dispose();
});

test('a batch that no shape holds is refused with the shapes there are', async () => {
  const run = await trainer(null);
  expect(() => run.step([batchOf([idsOf(1, 17)])])).toThrow(/1 rows of 17 tokens fits none/);
  run.dispose();
});
