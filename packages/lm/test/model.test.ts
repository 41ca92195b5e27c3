import { weightShapes } from '@moraine/contract/plan';
import { loadTf, type Tensor } from '@moraine/engine';
import { expect, test } from 'vitest';
import { createNet, forward, initialWeights } from '../src/index.js';
import { inverseFrequencies } from '../src/model.js';
import { demoConfig, idsOf, tinyConfig, tinyWeights } from './tiny.js';

const tf = loadTf();
const ids = (values: number[][]) => tf.tensor2d(values.flat(), [values.length, values[0]?.length ?? 0], 'int32');
const distance = (a: Tensor, b: Tensor) => tf.max(tf.abs(tf.sub(a, b))).dataSync()[0] ?? Number.NaN;

test('a token does not see the ones after it', () => {
  const net = createNet({ weights: tinyWeights() });
  const row = idsOf(1, 8);
  const changed = [...row.slice(0, 6), 1 + ((row[6] ?? 0) % 39), row[7] ?? 1];
  const [a, b] = [row, changed].map((values) => forward(net, tinyConfig, { ids: ids([values]) }));
  if (a === undefined || b === undefined) throw new Error('no logits');
  expect(distance(tf.slice(a, 0, 6), tf.slice(b, 0, 6))).toBe(0);
  expect(distance(tf.slice(a, 6), tf.slice(b, 6))).toBeGreaterThan(1e-3);
});

test('positions that start elsewhere, all by the same distance, change nothing', () => {
  const net = createNet({ weights: tinyWeights() });
  const input = { ids: ids([idsOf(1, 7), idsOf(2, 7)]) };
  const from = (start: number) =>
    tf.tensor2d(
      Array.from({ length: 14 }, (_, i) => start + (i % 7)),
      [2, 7],
      'int32',
    );
  const base = forward(net, tinyConfig, input);
  expect(distance(base, forward(net, tinyConfig, { ...input, positions: from(0) }))).toBe(0);
  expect(distance(base, forward(net, tinyConfig, { ...input, positions: from(20) }))).toBeLessThan(2e-5);
});

test('an untied head is used as it is', () => {
  const config = { ...tinyConfig, tieEmbeddings: false };
  const weights = tinyWeights(config);
  const input = { ids: ids([idsOf(1, 4)]) };
  const before = forward(createNet({ weights }), config, input);
  const head = weights.get('lm_head.weight');
  if (head === undefined) throw new Error('no head');
  weights.set('lm_head.weight', tf.mul(head, 2));
  expect(distance(tf.mul(before, 2), forward(createNet({ weights }), config, input))).toBeLessThan(1e-5);
});

// Numbers: transformers' rule for rope_type llama3 by hand. Head width 128, theta 5e5, factor 8, limits 1 and 4, 8192 positions: wavelengths
// under 2048 keep their frequency, over 8192 are slowed by 8, between them blended.
test('rotary frequencies of long wavelengths are slowed as Llama 3.1 does', () => {
  const limits = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 };
  const plain = inverseFrequencies(128, { theta: 5e5, width: 128, scaling: null });
  const scaled = inverseFrequencies(128, { theta: 5e5, width: 128, scaling: { kind: 'llama3', ...limits } });
  for (const [t, frequency] of plain.entries()) {
    const wavelength = (2 * Math.PI) / frequency;
    const smooth = (8192 / wavelength - 1) / (4 - 1);
    const blended = ((1 - smooth) * frequency) / 8 + smooth * frequency;
    const expected = wavelength < 2048 ? frequency : wavelength > 8192 ? frequency / 8 : blended;
    expect(Math.abs((scaled[t] ?? 0) / expected - 1)).toBeLessThan(1e-6);
  }
  expect(scaled[63]).not.toBe(plain[63]);
  expect(scaled[0]).toBe(1);
});

test('starting weights follow seed and name, residual layers smaller, norms at one', () => {
  const std = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);
  const weights = initialWeights(demoConfig, { seed: 1, std: 0.02 });
  const read = (name: string) => weights.get(name)?.data ?? new Float32Array();
  expect([...weights.keys()]).toEqual([...weightShapes(demoConfig).keys()]);
  expect(std(read('model.layers.0.mlp.up_proj.weight'))).toBeCloseTo(0.02, 3);
  expect(std(read('model.layers.0.mlp.down_proj.weight'))).toBeCloseTo(0.02 / Math.sqrt(10), 3);
  expect(read('model.norm.weight').every((x) => x === 1)).toBe(true);
  const fanIn = initialWeights(demoConfig, { seed: 1, std: 'fan-in' });
  expect(std(fanIn.get('model.layers.2.self_attn.q_proj.weight')?.data ?? new Float32Array())).toBeCloseTo(
    1 / Math.sqrt(128),
    3,
  );
  const first = (seed: number) =>
    initialWeights(tinyConfig, { seed, std: 0.02 }).get('model.layers.0.mlp.up_proj.weight')?.data.slice(0, 50);
  expect(first(1)).toEqual(first(1));
  expect(first(2)).not.toEqual(first(1));
});
