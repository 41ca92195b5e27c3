import { OPTIMIZER_NAMES, OPTIMIZERS, type OptimizerName } from '@moraine/contract';
import { compile, loadTf, type NumericMode, type Tensor } from '@moraine/engine';
import { describe, expect, test } from 'vitest';
import { globalNorm } from '../src/optim/clip.js';
import { decoupledDecay, scheduledDecay } from '../src/optim/decay.js';
import { createOptimizer, type OptimizerOptions } from '../src/optim/index.js';
import { chain, type Gradient, type Link, meanGradient, type Optimizer } from '../src/optim/optimizer.js';
import { learningRateAt, type Schedule } from '../src/optim/schedule.js';
import { applySignature, gradName, slotVariables, type Trained } from '../src/step.js';

const tf = loadTf();
const modes: NumericMode[] = ['eager', 'plain', 'xla'];
const options: OptimizerOptions = {
  type: 'adamw',
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-3,
  weightDecay: 0.1,
  maxGradNorm: 1.5,
};

/** One optimiser's step on one number, in double precision: `state` holds its slots, all 0 at the start. */
type Rule = (
  state: number[],
  grad: number,
  t: number,
  options: OptimizerOptions,
) => { state: number[]; update: number };

/** Every optimiser as its paper or PyTorch's documentation writes it; `update` is multiplied by the rate and taken off. */
const RULES: Record<OptimizerName, Rule> = {
  adamw: ([m = 0, v = 0], g, t, { beta1, beta2, eps }) => {
    const state = [beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g * g] as const;
    const root = Math.sqrt(state[1] / (1 - beta2 ** t)) + eps;
    return { state: [...state], update: state[0] / (1 - beta1 ** t) / root };
  },
  lion: ([m = 0], g, _t, { beta1, beta2 }) => ({
    state: [beta2 * m + (1 - beta2) * g],
    update: Math.sign(beta1 * m + (1 - beta1) * g),
  }),
};

const trained: Trained[] = [
  { name: 'matrix', shape: [2, 2] },
  { name: 'vector', shape: [3] },
];
const sizes = [4, 3];
/** Two steps' gradients a variable, large and small in turn, so that some steps are clipped and some are not. */
const gradients = Array.from({ length: 20 }, (_, step) =>
  sizes.map((size, variable) =>
    Float32Array.from({ length: size }, (_unused, i) => Math.sin(7 * step + 3 * variable + i) * (step % 2 ? 0.4 : 2)),
  ),
);
const start = sizes.map((size) => Float32Array.from({ length: size }, (_, i) => 0.3 * i - 0.5));
const rateAt = (step: number) => 0.05 / step;

/** Values and slots of all variables after the gradients, through `apply`; the sums are of four tokens. */
async function run(optimizer: Optimizer, mode: NumericMode) {
  const slots = slotVariables(trained, optimizer.slots);
  const all = [...trained, ...slots, ...trained.map(({ name, shape }) => ({ name: gradName(name), shape }))];
  const variables = new Map(all.map(({ name, shape }) => [name, { shape }]));
  const session = await compile({ variables, signatures: { apply: applySignature(trained, optimizer) } }, { mode });
  const write = (nameOf: (name: string) => string, values: readonly Float32Array[]) =>
    session.write(
      new Map(
        trained.map(({ name, shape }, i) => [
          nameOf(name),
          { shape: [...shape], data: values[i] ?? new Float32Array() },
        ]),
      ),
    );
  try {
    write((name) => name, start);
    const norms = gradients.map((grads, i) => {
      write(
        gradName,
        grads.map((grad) => grad.map((g) => 4 * g)),
      );
      const scalars = { ...optimizer.scalarsAt(i + 1), learningRate: rateAt(i + 1), perToken: 0.25 };
      return session.run('apply', scalars).gradNorm?.[0] ?? Number.NaN;
    });
    const named = session.read(all.map(({ name }) => name));
    return { norms, values: new Map([...named].map(([name, { data }]) => [name, [...data]])) };
  } finally {
    session.dispose();
  }
}

/** The same in double precision: clip by the global norm, decay matrices, then the rule. */
function reference(given: OptimizerOptions): Map<string, number[]> {
  const values = start.map((x) => Array.from(x));
  const states = sizes.map((size) => Array.from({ length: size }, (): number[] => []));
  for (const [step, grads] of gradients.entries()) {
    const norm = Math.hypot(...grads.flatMap((grad) => [...grad]));
    const factor = given.maxGradNorm > 0 ? Math.min(1, given.maxGradNorm / (norm + 1e-6)) : 1;
    for (const [v, { shape }] of trained.entries()) {
      const decay = shape.length > 1 ? given.weightDecay : 0;
      values[v] = (values[v] ?? []).map((x, i) => {
        const before = states[v]?.[i] ?? [];
        const { state, update } = RULES[given.type](before, factor * (grads[v]?.[i] ?? 0), step + 1, given);
        before.splice(0, before.length, ...state);
        return x * (1 - (rateAt(step + 1) / (given.decayPeak ?? 1)) * decay) - rateAt(step + 1) * update;
      });
    }
  }
  return new Map(trained.map(({ name }, v) => [name, values[v] ?? []]));
}

const farthest = (a: readonly number[] = [], b: readonly number[] = []): number =>
  a.length === b.length && a.length > 0
    ? Math.max(...a.map((x, i) => Math.abs(x - (b[i] ?? Number.NaN))))
    : Number.POSITIVE_INFINITY;

describe.each(OPTIMIZER_NAMES)('%s', (type) => {
  const settings = {
    'clipped and decayed': { ...options, type },
    'decayed with the schedule': { ...options, type, weightDecay: 0.01, decayPeak: rateAt(1) },
    'neither clipped nor decayed': { ...options, type, maxGradNorm: 0, weightDecay: 0 },
  };
  test.each(modes.flatMap((mode) => Object.entries(settings).map((each) => [mode, ...each] as const)))(
    'twenty steps are those of its formula in double precision (%s, %s)',
    async (mode, _, given) => {
      const { norms, values } = await run(createOptimizer(given), mode);
      for (const [name, expected] of reference(given))
        expect(farthest(values.get(name), expected), name).toBeLessThan(2e-6);
      for (const [step, grads] of gradients.entries())
        expect(norms[step]).toBeCloseTo(Math.hypot(...grads.flatMap((grad) => [...grad])), 5);
      for (const { name } of trained) expect(values.get(gradName(name))?.every((sum) => sum === 0)).toBe(true);
    },
  );

  test.each(['plain', 'xla'] as const)('keeps the same state fused as composed (%s)', async (mode) => {
    const optimizer = createOptimizer({ ...options, type });
    const [composed, fused] = [await run(optimizer, 'eager'), await run(optimizer, mode)];
    // Adam's fused operation keeps the second moment times (1 - float32(0.999)) / 0.001 and takes it back in the step.
    for (const { name } of slotVariables(trained, optimizer.slots))
      expect(farthest(fused.values.get(name), composed.values.get(name)), name).toBeLessThan(1e-5);
  });
});

test('some of these steps are clipped and some are not', () => {
  const norms = gradients.map((grads) => Math.hypot(...grads.flatMap((grad) => [...grad])));
  expect(Math.max(...norms)).toBeGreaterThan(1.5);
  expect(Math.min(...norms)).toBeLessThan(1.5);
});

// By hand for 0.5, gradient 0.2, rate 0.1, decay 0.1: decayed 0.495; m = 0.02, v = 4e-5; both corrected: 0.2 and 0.04, root 0.2;
// 0.495 - 0.1 · 0.2 / (0.2 + 1e-8) = 0.395000005.
test('the first step of AdamW is the one computed by hand', () => {
  const given = { ...options, eps: 1e-8 };
  expect(0.5 * (1 - 0.1 * 0.1) - 0.1 * RULES.adamw([], 0.2, 1, given).update).toBeCloseTo(0.395000005, 12);
});

test('moments keep the names that stored checkpoints have', () => {
  const { slots } = createOptimizer(options);
  expect(slotVariables(trained, slots).map(({ name }) => name)).toEqual([
    'matrix.moment1',
    'matrix.moment2',
    'vector.moment1',
    'vector.moment2',
  ]);
});

test.each(OPTIMIZER_NAMES)('%s keeps as many numbers as the contract counts with', (type) => {
  expect(createOptimizer({ ...options, type }).slots).toHaveLength(OPTIMIZERS[type].slots);
});

test('links run in the order given, each on what the one before left', async () => {
  const double: Link = (gradient) => ({ ...gradient, learningRate: tf.mul(gradient.learningRate, 2) });
  const add: Link = (gradient) => ({ ...gradient, learningRate: tf.add(gradient.learningRate, 1) });
  const descent: Optimizer = {
    slots: [],
    scalarsAt: () => ({}),
    update: (gradient, _, scope) => {
      const { name, learningRate } = gradient;
      scope.assign(name, tf.sub(scope.read(name), tf.mul(meanGradient(gradient), learningRate)) as Tensor);
    },
  };
  const gradient = { learningRate: tf.scalar(3) } as Gradient;
  const rateAfter = (links: Link[]): number => {
    let rate = Number.NaN;
    const probe: Optimizer = {
      ...descent,
      update: ({ learningRate }) => {
        rate = learningRate.dataSync()[0] ?? Number.NaN;
      },
    };
    chain(links, probe).update(gradient, {}, {} as never);
    return rate;
  };
  expect(rateAfter([double, add])).toBe(7);
  expect(rateAfter([add, double])).toBe(8);
  const [plain, fast] = [await run(descent, 'plain'), await run(chain([double], descent), 'plain')];
  const moved = (values: Map<string, number[]>) => values.get('vector')?.map((x, i) => x - (start[1]?.[i] ?? 0));
  expect(
    farthest(
      moved(fast.values),
      moved(plain.values)?.map((x) => 2 * x),
    ),
  ).toBeLessThan(1e-6);
});

test('decay takes the rate that links before it set', () => {
  const value = tf.scalar(1).reshape([1, 1]);
  const kept = (links: Link[]): number => {
    let result = Number.NaN;
    const probe: Optimizer = {
      slots: [],
      scalarsAt: () => ({}),
      update: (gradient) => {
        result = gradient.value?.dataSync()[0] ?? Number.NaN;
      },
    };
    const given = { name: 'w', shape: [1, 1], value, learningRate: tf.scalar(0.1) } as unknown as Gradient;
    chain(links, probe).update(given, {}, {} as never);
    return result;
  };
  const decay = decoupledDecay(0.5);
  const double: Link = (gradient) => ({ ...gradient, learningRate: tf.mul(gradient.learningRate, 2) });
  expect(kept([decay, double])).toBeCloseTo(0.95, 6);
  expect(kept([double, decay])).toBeCloseTo(0.9, 6);
});

// By hand: half of the peak 0.2 takes half of 0.5 off, whatever rate a link gave the variable.
test('decay with the schedule takes the share of the peak, whatever rate a variable has of its own', () => {
  let value = Number.NaN;
  const probe: Optimizer = {
    slots: [],
    scalarsAt: () => ({}),
    update: (gradient) => {
      value = gradient.value?.dataSync()[0] ?? Number.NaN;
    },
  };
  const [runRate, learningRate] = [tf.scalar(0.1), tf.scalar(0.4)];
  const matrix = { name: 'w', shape: [1, 1], value: tf.scalar(1), learningRate, runRate } as unknown as Gradient;
  chain([scheduledDecay(0.5, 0.2)], probe).update(matrix, {}, {} as never);
  expect(value).toBeCloseTo(0.75, 6);
  chain([scheduledDecay(0.5, 0.2)], probe).update({ ...matrix, shape: [1] }, {}, {} as never);
  expect(value).toBe(1);
});

test('the global norm is that of all gradients together', () => {
  expect(globalNorm([tf.tensor1d([3, 0]), tf.tensor2d([[4]])]).dataSync()[0]).toBeCloseTo(5, 6);
});

describe('the learning rate of a step, counted from 1', () => {
  const schedule: Schedule = { type: 'linear', learningRate: 1, warmupSteps: 4, totalSteps: 14, minRatio: 0.2 };
  const root = (x: number) => Number((1 / Math.sqrt(x)).toFixed(12));
  const rates = (given: Partial<Schedule>, steps: readonly number[]) =>
    steps.map((step) => Number(learningRateAt({ ...schedule, ...given }, step).toFixed(12)));
  test.each([
    ['warms up on a line and reaches its peak with the last step of it', {}, [1, 2, 3, 4], [0.25, 0.5, 0.75, 1]],
    ['keeps its peak in the step after warm-up', {}, [5], [1]],
    ['falls by equal parts', {}, [6, 7, 14], [0.92, 0.84, 0.28]],
    ['is at its minimum after the last step, and stays', {}, [15, 16, 99], [0.2, 0.2, 0.2]],
    ['begins at its peak without warm-up', { warmupSteps: 0, totalSteps: 4 }, [1, 2, 3, 4, 5], [1, 0.8, 0.6, 0.4, 0.2]],
    ['is half way down a cosine in the middle', { type: 'cosine' }, [5, 10, 15], [1, 0.6, 0.2]],
    ['falls slowly at first on a cosine', { type: 'cosine' }, [6], [0.980422606518]],
    ['stays at its peak when constant', { type: 'constant' }, [1, 4, 14], [0.25, 1, 1]],
    [
      'falls with the root of warm-ups',
      { type: 'inverse_sqrt', minRatio: 0 },
      [4, 5, 9, 17, 21],
      [1, 1, root(2), 0.5, root(5)],
    ],
    // 1 / sqrt((8 - 4 + 4) / 4) when four steps are left, then a line to nothing after the last.
    [
      'cools down on a line at the end of a root',
      { type: 'inverse_sqrt', minRatio: 0, totalSteps: 12, cooldownSteps: 4 },
      [9, 10, 12, 13],
      [root(2), 0.53033008589, 0.176776695297, 0],
    ],
    [
      'warms up again after a restart, to the shape that it comes back to',
      { type: 'jagged', restart: { every: 7, warmupSteps: 2 } },
      [7, 8, 9, 10, 15, 16],
      [0.92360679775, 0.361803398875, 0.72360679775, 0.6, 0.1, 0.2],
    ],
    ['can be warm-up all the way', { warmupSteps: 14 }, [1, 14, 15], [0.071428571429, 1, 1]],
  ] as const)('%s', (_, given, steps, expected) => {
    expect(rates(given, steps)).toEqual([...expected]);
  });
});
