import { AdapterRequest } from '@moraine/contract';
import { linearShapes, moraSide, resolveAdapter, totalParameters } from '@moraine/contract/plan';
import { loadTf, type Tensor } from '@moraine/engine';
import { expect, test } from 'vitest';
import type { z } from 'zod';
import {
  type Adapter,
  adapterNet,
  createMerge,
  createNet,
  forward,
  initialAdapter,
  lora,
  type Method,
  mora,
  toDevice,
  toHost,
} from '../src/index.js';
import { createRandom } from '../src/random.js';
import { denseRotation, denseSharing } from './dense.js';
import { demoConfig, hostWeights, idsOf, tinyConfig, tinyWeights } from './tiny.js';

const tf = loadTf();
const allPaths = linearShapes(tinyConfig).map(({ name }) => name);
const methods: [string, Method][] = [
  ['LoRA', lora({ rank: 4, alpha: 8, useRslora: false })],
  ['rsLoRA', lora({ rank: 4, alpha: 8, useRslora: true })],
  ['MoRA type 1', mora({ rank: 4, type: 1 })],
  ['MoRA type 6', mora({ rank: 4, type: 6 })],
  ['MoRA type 1 of one block', mora({ rank: 64, type: 1 })],
  ['MoRA type 6 of one block', mora({ rank: 64, type: 6 })],
];
const ids = () => tf.tensor2d([...idsOf(1, 9), ...idsOf(2, 9)], [2, 9], 'int32');
const distance = (a: Tensor, b: Tensor) => tf.tidy(() => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0] ?? Number.NaN);

function freshVariables(adapter: Adapter): Map<string, Tensor> {
  return new Map([...initialAdapter(tinyConfig, adapter, 5)].map(([name, value]) => [name, toDevice(value)]));
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

test.each(methods)('%s: a fresh adapter leaves the logits unchanged', (_, method) => {
  const weights = tinyWeights();
  const adapter = { method, paths: allPaths, dropout: 0 };
  const base = forward(createNet({ weights }), tinyConfig, { ids: ids() });
  const adapted = forward(adapterNet(tinyConfig, weights, adapter, freshVariables(adapter)), tinyConfig, {
    ids: ids(),
  });
  expect(distance(base, adapted)).toBe(0);
});

test.each(methods)('%s: the merged model computes what base and adapter compute', (_, method) => {
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
  for (const type of [1, 6] as const) {
    const side = moraSide(inDim, outDim, rank, type);
    const m = tf.randomNormal([side, side], 0, 1, 'float32', 3);
    const x = tf.randomNormal([5, inDim], 0, 1, 'float32', 4);
    const dense = (type === 1 ? denseSharing : denseRotation)(m.dataSync() as Float32Array, side, inDim, outDim);
    const expected = tf.matMul(x, tf.tensor2d(dense), false, true);
    const y = mora({ rank, type }).apply(x, tf.zeros([outDim, inDim]), tf.zeros([5, outDim]), { mora_M: m });
    expect(distance(y, expected) / (tf.max(tf.abs(expected)).dataSync()[0] ?? 1)).toBeLessThan(2e-6);
  }
});

test.each(methods)('%s: gradients equal those through the merged weight', (_, method) => {
  for (const [inDim, outDim] of [
    [24, 24],
    [24, 10],
    [10, 24],
  ] as const) {
    const start = Object.entries(method.init({ inDim, outDim }, createRandom(1)));
    const names = start.map(([name]) => name);
    const values = start.map(([, { shape }], i) => tf.randomNormal(shape, 0, 1, 'float32', i) as Tensor);
    const x = tf.randomNormal([7, inDim], 0, 1, 'float32', 8) as Tensor;
    const probe = tf.randomNormal([7, outDim], 0, 1, 'float32', 9);
    const weight = tf.zeros([outDim, inDim]);
    const through = (input: Tensor, variables: Tensor[]) =>
      method.apply(
        input,
        weight,
        tf.zeros([input.shape[0] ?? 0, outDim]),
        Object.fromEntries(names.map((n, i) => [n, variables[i] as Tensor])),
      );
    // Reference for x: a plain product with the dense update. Reference for the variables: the update is linear in each of them,
    // so a central difference along a random direction is exact up to rounding.
    const direct = tf.valueAndGrads(((a: Tensor, ...v: Tensor[]) => tf.sum(tf.mul(through(a, v), probe))) as never)([
      x,
      ...values,
    ]);
    const denseT = through(tf.eye(inDim), values); // [in, out]
    const dx = tf.matMul(probe, denseT as never, false, true);
    const scale = tf.max(tf.abs(dx)).dataSync()[0] ?? 1;
    expect(distance(direct.grads[0] as Tensor, dx) / scale).toBeLessThan(1e-5);
    for (const [i, value] of values.entries()) {
      const direction = tf.randomNormal(value.shape, 0, 1, 'float32', 20 + i);
      const moved = (sign: number) =>
        tf
          .sum(
            tf.mul(
              through(
                x,
                values.map((v, j) => (j === i ? tf.add(v, tf.mul(direction, sign)) : v)),
              ),
              probe,
            ),
          )
          .dataSync()[0] ?? 0;
      const slope = tf.sum(tf.mul(direct.grads[i + 1] as Tensor, direction)).dataSync()[0] ?? 0;
      expect(Math.abs((moved(1) - moved(-1)) / 2 - slope)).toBeLessThan(1e-3 * Math.max(1, Math.abs(slope)));
    }
  }
});

/** Trainable numbers of a request on every linear layer of the demo's base, as they are planned. */
const countOf = (keys: z.input<typeof AdapterRequest>): number =>
  resolveAdapter(AdapterRequest.parse(keys), demoConfig).trainableParameters;

test('the demo base has 1,120,640 parameters and its three adapters the planned counts', () => {
  expect(totalParameters(demoConfig)).toBe(1_120_640);
  expect(countOf({ type: 'lora' })).toBe(97_600);
  expect(countOf({ type: 'mora', mora_type: 1 })).toBe(96_315);
  expect(countOf({ type: 'mora', mora_type: 6 })).toBe(92_720);
});

test('what a method creates has as many numbers as the plan counts', () => {
  for (const [, method] of methods) {
    const created = [
      ...initialAdapter(
        demoConfig,
        { method, paths: linearShapes(demoConfig).map((s) => s.name), dropout: 0 },
        1,
      ).values(),
    ];
    const count = created.reduce((sum, { data }) => sum + data.length, 0);
    const { type, rank } = method.shape;
    const keys = 'moraType' in method.shape ? { mora_type: method.shape.moraType } : {};
    expect(count).toBe(countOf({ type, rank, ...keys }));
  }
});

test('LoRA starts with A uniform within 1/sqrt(in) and B zero, by seed and name alone', () => {
  const adapter = { method: lora({ rank: 8, alpha: 16, useRslora: false }), paths: allPaths, dropout: 0 };
  const values = initialAdapter(tinyConfig, adapter, 3);
  const a = values.get('model.layers.0.mlp.down_proj.lora_A')?.data ?? new Float32Array();
  const bound = 1 / Math.sqrt(tinyConfig.intermediateSize);
  expect(Math.max(...a.map(Math.abs))).toBeLessThanOrEqual(bound);
  expect(Math.max(...a)).toBeGreaterThan(0.9 * bound);
  expect(Math.abs(a.reduce((s, x) => s + x, 0) / a.length)).toBeLessThan(0.1 * bound);
  expect(values.get('model.layers.0.mlp.down_proj.lora_B')?.data.every((x) => x === 0)).toBe(true);
  const one = initialAdapter(tinyConfig, { ...adapter, paths: ['model.layers.0.mlp.down_proj'] }, 3);
  expect(one.get('model.layers.0.mlp.down_proj.lora_A')?.data).toEqual(a);
  expect(initialAdapter(tinyConfig, adapter, 4).get('model.layers.0.mlp.down_proj.lora_A')?.data).not.toEqual(a);
});
