import { type AdapterConfig, type MethodConfig, methodRow } from '@moraine/contract';
import { MORA_TYPES, moraSide } from '@moraine/contract/methods/mora';
import { linearShapes, totalParameters } from '@moraine/contract/plan';
import { loadTf, type Tensor } from '@moraine/engine';
import { expect, test } from 'vitest';
import {
  type Adapter,
  adapterNet,
  createMerge,
  createMethod,
  createNet,
  forward,
  initialAdapter,
  type MethodOptions,
  toDevice,
  toHost,
  weightReader,
} from '../src/index.js';
import { createRandom } from '../src/random.js';
import { denseMora } from './dense.js';
import { adapterRows } from './golden-set.js';
import { demoConfig, hostWeights, idsOf, tinyConfig, tinyWeights } from './tiny.js';

const tf = loadTf();
const allPaths = linearShapes(tinyConfig).map(({ name }) => name);
/** Every method of the golden matrix, and MoRA's square when it is wider than the layers. */
const methods: [string, MethodOptions][] = [
  ...adapterRows.map((row): [string, MethodOptions] => [row.name, row]),
  ['mora-1 of one block', { type: 'mora', rank: 64, mora_type: 1 }],
  ['mora-6 of one block', { type: 'mora', rank: 64, mora_type: 6 }],
];
const ids = () => tf.tensor2d([...idsOf(1, 9), ...idsOf(2, 9)], [2, 9], 'int32');
const distance = (a: Tensor, b: Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0] ?? Number.NaN);

function freshVariables(adapter: Adapter): Map<string, Tensor> {
  return new Map(
    [...initialAdapter(tinyConfig, adapter, 5, weightReader(hostWeights()))].map(([name, value]) => [
      name,
      toDevice(value),
    ]),
  );
}

/** Variables far from their start, as after training. */
function trainedVariables(adapter: Adapter): Map<string, Tensor> {
  return new Map(
    [...freshVariables(adapter)].map(([name, value], i) => [
      name,
      tf.randomNormal(value.shape, 0, 0.1, 'float32', i + 1),
    ]),
  );
}

test.each(methods)('%s: a fresh adapter leaves the logits unchanged', (_, options) => {
  const method = createMethod(options);
  const weights = tinyWeights();
  const adapter = { method, paths: allPaths, dropout: 0 };
  const base = forward(createNet({ weights }), tinyConfig, { ids: ids() });
  const adapted = forward(adapterNet(tinyConfig, weights, adapter, freshVariables(adapter)), tinyConfig, {
    ids: ids(),
  });
  expect(distance(base, adapted)).toBe(0);
});

test.each(methods)('%s: the merged model computes what base and adapter compute', (_, options) => {
  const method = createMethod(options);
  const weights = tinyWeights();
  const adapter = { method, paths: allPaths, dropout: 0 };
  const variables = trainedVariables(adapter);
  const adapted = forward(adapterNet(tinyConfig, weights, adapter, variables), tinyConfig, { ids: ids() });
  const merged = new Map(weights);
  const merge = createMerge(adapter, new Map([...variables].map(([name, value]) => [name, toHost(value)])));
  for (const [name, value] of hostWeights()) merged.set(name, toDevice(merge(name, value)));
  const plain = forward(createNet({ weights: merged }), tinyConfig, { ids: ids() });
  expect(distance(adapted, forward(createNet({ weights }), tinyConfig, { ids: ids() }))).toBeGreaterThan(0.05);
  expect(distance(adapted, plain) / (tf.max(tf.abs(plain)).dataSync()[0] ?? 1)).toBeLessThan(1e-5);
});

// Shapes: equal widths; R dividing and not dividing them; narrower and wider outputs; R at least as large as the input (one block),
// and more than twice as large (the padding wraps more than once).
test.each([
  [32, 32, 2],
  [30, 30, 2],
  [16, 40, 3],
  [40, 16, 3],
  [40, 12, 1],
  [12, 90, 1],
  [10, 20, 4],
  [20, 10, 40],
  [6, 90, 4],
])('MoRA of %i inputs, %i outputs, rank %i computes its dense update', (inDim, outDim, rank) => {
  for (const type of MORA_TYPES) {
    const side = moraSide(inDim, outDim, rank, type);
    const m = tf.randomNormal([side, side], 0, 1, 'float32', 3);
    const x = tf.randomNormal([5, inDim], 0, 1, 'float32', 4);
    const dense = denseMora(type, m.dataSync() as Float32Array, side, inDim, outDim);
    const expected = tf.matMul(x, tf.tensor2d(dense), false, true);
    const [weight, y0] = [tf.zeros([outDim, inDim]), tf.zeros([5, outDim])] as [Tensor, Tensor];
    const y = createMethod({ type: 'mora', rank, mora_type: type }).apply(x, weight, y0, { mora_M: m });
    expect(distance(y, expected) / (tf.max(tf.abs(expected)).dataSync()[0] ?? 1), `type ${type}`).toBeLessThan(2e-6);
  }
});

test('MoRA 6 leaves inputs unread where a layer narrows, unless all are asked for', () => {
  const [inDim, outDim] = [40, 12];
  const side = moraSide(inDim, outDim, 2, 6); // 10: two blocks of outputs, four of inputs
  const unread = (mora_all_inputs: boolean): number => {
    const method = createMethod({
      type: 'mora',
      rank: 2,
      mora_type: 6,
      ...(mora_all_inputs ? { mora_all_inputs } : {}),
    });
    const y = method.apply(tf.eye(inDim), tf.zeros([outDim, inDim]), tf.zeros([inDim, outDim]), {
      mora_M: tf.randomNormal([side, side], 0, 1, 'float32', 3),
    });
    return [...tf.sum(tf.abs(y), 1).dataSync()].filter((sum) => sum === 0).length;
  };
  expect(unread(false)).toBe(20);
  expect(unread(true)).toBe(0);
});

test('LoRA of layers that read one input may have a rank for each, as files of others do', () => {
  const method = createMethod({ type: 'lora', rank: 4, alpha: 8, use_rslora: false });
  const normal = (shape: [number, number], seed: number) => tf.randomNormal(shape, 0, 1, 'float32', seed) as Tensor;
  const x = normal([5, 12], 1);
  const layers = [4, 2, 5].map((rank, i) => ({
    y0: normal([5, 6 + i], 10 + i),
    variables: { lora_A: normal([rank, 12], 20 + i), lora_B: normal([6 + i, rank], 30 + i) },
  }));
  const together = method.applyAll?.(x, layers) ?? [];
  for (const [i, { y0, variables }] of layers.entries()) {
    const alone = method.apply(x, tf.zeros([6 + i, 12]) as Tensor, y0, variables);
    expect(distance(together[i] as Tensor, alone)).toBeLessThan(1e-4);
  }
});

test('DoRA leaves a row of zeros, as pruning makes them, a row of zeros', () => {
  const method = createMethod({ type: 'dora', rank: 2, alpha: 4, use_rslora: false });
  const weight = { shape: [3, 4], data: Float32Array.of(1, 2, 3, 4, 0, 0, 0, 0, 4, 3, 2, 1) };
  const start = { ...method.init({ inDim: 4, outDim: 3 }, createRandom(1)), ...method.fit?.(weight, createRandom(2)) };
  const names = Object.keys(start);
  const x = tf.randomNormal([5, 4], 0, 1, 'float32', 3) as Tensor;
  const y0 = tf.matMul(x, toDevice(weight) as never, false, true) as Tensor;
  const run = (...values: Tensor[]) =>
    method.apply(x, toDevice(weight), y0, Object.fromEntries(names.map((name, i) => [name, values[i] as Tensor])));
  const values = Object.values(start).map(toDevice);
  expect(distance(run(...values), y0)).toBe(0);
  const { grads } = tf.valueAndGrads(((...all: Tensor[]) => tf.sum(run(...all))) as never)(values);
  for (const grad of grads) expect(grad.dataSync().every(Number.isFinite)).toBe(true);
});

test.each(methods)('%s: gradients equal those through the merged weight', (_, options) => {
  const method = createMethod(options);
  for (const [inDim, outDim] of [
    [24, 24],
    [24, 10],
    [10, 24],
  ] as const) {
    const all = Object.entries(method.init({ inDim, outDim }, createRandom(1)));
    const start = all.filter(([name]) => method.frozen?.includes(name) !== true);
    const kept = Object.fromEntries(
      all.map(([name, { shape }], i) => [name, tf.randomNormal(shape, 0, 0.3, 'float32', 30 + i) as Tensor]),
    );
    const names = start.map(([name]) => name);
    const values = start.map(([, { shape }], i) => tf.randomNormal(shape, 0, 0.3, 'float32', i + 1) as Tensor);
    const x = tf.randomNormal([7, inDim], 0, 1, 'float32', 8) as Tensor;
    const probe = tf.randomNormal([7, outDim], 0, 1, 'float32', 9);
    const weight = tf.randomNormal([outDim, inDim], 0, 1, 'float32', 10) as Tensor;
    const through = (input: Tensor, variables: Tensor[]) =>
      method.apply(input, weight, tf.matMul(input, weight, false, true) as Tensor, {
        ...kept,
        ...Object.fromEntries(names.map((n, i) => [n, variables[i] as Tensor])),
      });
    // Reference for x: a plain product with the merged weight. Reference for the variables: y is a polynomial of at most the fourth degree
    // in each of them, so the difference of five points along a random direction is exact up to rounding; of Cayley's inverse it is near.
    const h = 'rotation' in options ? 0.04 : 0.2;
    const direct = tf.valueAndGrads(((a: Tensor, ...v: Tensor[]) => tf.sum(tf.mul(through(a, v), probe))) as never)([
      x,
      ...values,
    ]);
    const mergedT = through(tf.eye(inDim), values); // [in, out]
    const dx = tf.matMul(probe, mergedT as never, false, true);
    const scale = tf.max(tf.abs(dx)).dataSync()[0] ?? 1;
    expect(distance(direct.grads[0] as Tensor, dx) / scale).toBeLessThan(1e-5);
    for (const [i, value] of values.entries()) {
      // DoRA's gradient takes the norm for a constant, so it is no slope; PEFT's is compared in golden.test.ts.
      if (options.type === 'dora' && value.shape.length === 2) continue;
      const direction = tf.randomNormal(value.shape, 0, 1, 'float32', 20 + i);
      // Summed in float64: the difference of two float32 sums would be mostly rounding, which moves with the number of threads.
      const moved = (sign: number): number => {
        const there = values.map((v, j) => (j === i ? (tf.add(v, tf.mul(direction, sign)) as Tensor) : v));
        const y = through(x, there).dataSync();
        return Array.from(probe.dataSync()).reduce((sum, p, k) => sum + p * (y[k] ?? Number.NaN), 0);
      };
      const grad = direct.grads[i + 1] as Tensor;
      const slope = tf.sum(tf.mul(grad, direction)).dataSync()[0] ?? 0;
      const usual = tf.norm(grad).dataSync()[0] ?? 0; // of a slope along such a direction; this one may be near zero by chance
      const [near, far] = [moved(h) - moved(-h), moved(2 * h) - moved(-2 * h)];
      expect(Math.abs((8 * near - far) / (12 * h) - slope) / usual).toBeLessThan(1e-3);
    }
  }
});

const demoPaths = linearShapes(demoConfig).map(({ name }) => name);
const shared = { dropout: 0, target_modules: demoPaths };
const planned = (config: MethodConfig): number =>
  methodRow(config).trainableParameters(config, linearShapes(demoConfig), totalParameters(demoConfig));

test('the demo base has 1,120,640 parameters and its three adapters the planned counts', () => {
  expect(totalParameters(demoConfig)).toBe(1_120_640);
  const counts = [
    { type: 'lora', rank: 8, alpha: 16, use_rslora: false, ...shared } as const,
    { type: 'mora', rank: 8, mora_type: 1, ...shared } as const,
    { type: 'mora', rank: 8, mora_type: 6, ...shared } as const,
    { type: 'none' } as const,
  ].map(planned);
  expect(counts).toEqual([97_600, 96_315, 92_720, 1_120_640]);
});

test.each(methods)('%s creates as many numbers as the plan counts', (_, options) => {
  const adapter = { method: createMethod(options), paths: demoPaths, dropout: 0 };
  const values = initialAdapter(demoConfig, adapter, 1, weightReader(hostWeights(demoConfig)));
  const isKept = (name: string) => adapter.method.frozen?.includes(name.slice(name.lastIndexOf('.') + 1)) === true;
  const count = (kept: boolean) =>
    [...values].reduce((sum, [name, { data }]) => sum + (isKept(name) === kept ? data.length : 0), 0);
  const config = { ...options, ...shared } as AdapterConfig;
  expect(count(false)).toBe(planned(config));
  expect(count(true)).toBe(methodRow(config).keptParameters?.(config, linearShapes(demoConfig)) ?? 0);
});

test.each(methods)('%s: several layers that read one input give what each gives alone', (_, options) => {
  const method = createMethod(options);
  const x = tf.randomNormal([5, 24], 0, 1, 'float32', 1) as Tensor;
  const layers = [24, 10].map((outDim, i) => {
    const weight = tf.randomNormal([outDim, 24], 0, 1, 'float32', 2 + i) as Tensor;
    const start = Object.entries(method.init({ inDim: 24, outDim }, createRandom(i)));
    const variables = Object.fromEntries(
      start.map(([name, { shape }], j) => [name, tf.randomNormal(shape, 0, 0.3, 'float32', 5 + 2 * j + i) as Tensor]),
    );
    return { weight, y0: tf.matMul(x, weight, false, true) as Tensor, variables };
  });
  const alone = layers.map(({ weight, y0, variables }) => method.apply(x, weight, y0, variables));
  const together = method.applyAll?.(x, layers) ?? alone;
  expect(together).toHaveLength(2);
  for (const [i, y] of together.entries()) expect(distance(y, alone[i] as Tensor)).toBeLessThan(2e-5);
});

test.each(methods)('%s: λ = 0 is the base bit for bit, λ = 1 the merged model, between them a share', (_, options) => {
  const adapter = { method: createMethod(options), paths: allPaths, dropout: 0 };
  const variables = new Map([...trainedVariables(adapter)].map(([name, value]) => [name, toHost(value)]));
  const [none, half, all, whole] = [0, 0.5, 1, undefined].map((lambda) => createMerge(adapter, variables, lambda));
  for (const [name, base] of hostWeights()) {
    expect(none?.(name, base).data).toEqual(base.data);
    const merged = all?.(name, base) ?? base;
    expect(merged.data).toEqual(whole?.(name, base).data);
    if (!allPaths.includes(name.replace(/\.weight$/, ''))) continue;
    const [full, part] = [merged, half?.(name, base) ?? base].map((weight) =>
      distance(toDevice(weight), toDevice(base)),
    );
    expect(part).toBeGreaterThan(0.3 * (full ?? 0));
    expect(part).toBeLessThan(0.7 * (full ?? 0));
  }
});

test('an asymmetric LoRA starts with orthonormal rows of A, which it keeps', () => {
  const method = createMethod({ type: 'lora', rank: 3, alpha: 6, use_rslora: false, init: 'asymmetric' });
  expect(method.frozen).toEqual(['lora_A']);
  const a = toDevice(
    method.init({ inDim: 20, outDim: 8 }, createRandom(4)).lora_A ?? { shape: [0], data: new Float32Array() },
  );
  expect(distance(tf.matMul(a, a, false, true), tf.eye(3))).toBeLessThan(1e-6);
});

test('LoRA starts with A uniform within 1/sqrt(in) and B zero, by seed and name alone', () => {
  const adapter = {
    method: createMethod({ type: 'lora', rank: 8, alpha: 16, use_rslora: false }),
    paths: allPaths,
    dropout: 0,
  };
  const weightOf = weightReader(hostWeights());
  const values = initialAdapter(tinyConfig, adapter, 3, weightOf);
  const a = values.get('model.layers.0.mlp.down_proj.lora_A')?.data ?? new Float32Array();
  const bound = 1 / Math.sqrt(tinyConfig.intermediateSize);
  expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(bound);
  expect(Math.max(...a)).toBeGreaterThan(0.9 * bound);
  expect(Math.abs(a.reduce((s, x) => s + x, 0) / a.length)).toBeLessThan(0.1 * bound);
  expect(values.get('model.layers.0.mlp.down_proj.lora_B')?.data.every((x) => x === 0)).toBe(true);
  const one = initialAdapter(tinyConfig, { ...adapter, paths: ['model.layers.0.mlp.down_proj'] }, 3, weightOf);
  expect(one.get('model.layers.0.mlp.down_proj.lora_A')?.data).toEqual(a);
  expect(initialAdapter(tinyConfig, adapter, 4, weightOf).get('model.layers.0.mlp.down_proj.lora_A')?.data).not.toEqual(
    a,
  );
});
