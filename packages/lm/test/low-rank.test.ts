// Expected numbers: matrices made of known singular values; the error of a truncation is the root of the squares left out (Eckart & Young).
import { linearShapes } from '@moraine/contract/plan';
import { loadTf } from '@moraine/engine';
import { describe, expect, test } from 'vitest';
import { exportLowRank, type HostTensor, lowRankOf, toDevice, toHost } from '../src/index.js';
import { normalRows, orthonormalRows } from '../src/linalg.js';
import { createRandom } from '../src/random.js';
import { tinyConfig } from './tiny.js';

const tf = loadTf();

/** A matrix [out, in] of given singular values. */
function madeOf(values: readonly number[], outDim: number, inDim: number): HostTensor {
  const left = orthonormalRows(normalRows(createRandom(1), values.length, outDim));
  const right = orthonormalRows(normalRows(createRandom(2), values.length, inDim));
  const data = new Float32Array(outDim * inDim);
  for (const [k, value] of values.entries())
    for (let i = 0; i < outDim; i++)
      for (let j = 0; j < inDim; j++)
        data[i * inDim + j] = (data[i * inDim + j] ?? 0) + value * (left[k]?.[i] ?? 0) * (right[k]?.[j] ?? 0);
  return { shape: [outDim, inDim], data };
}

const product = (b: HostTensor, a: HostTensor): Float32Array =>
  tf.matMul(toDevice(b), toDevice(a)).dataSync() as Float32Array;
const normOf = (data: ArrayLike<number>): number => Math.sqrt(Array.from(data).reduce((sum, x) => sum + x * x, 0));

// Small, decomposed whole; large, by iteration: wide, tall.
test.each([
  [20, 44],
  [300, 400],
  [400, 290],
])('of a %i by %i matrix the largest directions are kept, and the error is what the others hold', (outDim, inDim) => {
  const values = [8, 4, 2, 1, 0.5, 0.25];
  const matrix = madeOf(values, outDim, inDim);
  for (const rank of [2, 4]) {
    const { a, b, errorSquared, normSquared } = lowRankOf(matrix, rank, createRandom(3));
    expect([a.shape, b.shape]).toEqual([
      [rank, inDim],
      [outDim, rank],
    ]);
    const left = Math.sqrt(values.slice(rank).reduce((sum, x) => sum + x * x, 0));
    expect(Math.sqrt(errorSquared)).toBeCloseTo(left, 4);
    expect(Math.sqrt(normSquared)).toBeCloseTo(normOf(values), 4);
    const made = product(b, a);
    expect(normOf(matrix.data.map((x, i) => x - (made[i] ?? 0)))).toBeCloseTo(left, 4);
  }
});

test('a rank beyond the layer is filled with zeros, and an update of nothing has no error', () => {
  const whole = lowRankOf(madeOf([3, 2, 1], 3, 5), 8, createRandom(3));
  expect([whole.a.shape, whole.b.shape]).toEqual([
    [8, 5],
    [3, 8],
  ]);
  expect(Math.sqrt(whole.errorSquared / whole.normSquared)).toBeLessThan(1e-6);
  const none = lowRankOf({ shape: [3, 5], data: new Float32Array(15) }, 2, createRandom(3));
  expect([none.errorSquared, none.normSquared]).toEqual([0, 0]);
  expect([...none.a.data, ...none.b.data].every((x) => x === 0)).toBe(true);
});

describe('updates as a LoRA', () => {
  const layers = linearShapes(tinyConfig).slice(0, 3);
  const paths = layers.map(({ name }) => name);
  // Rank 2 each, but the last: of rank 4 with a known rest.
  const updates = new Map(
    layers.map(({ name, outDim, inDim }, i) => [name, madeOf(i === 2 ? [3, 3, 2, 1] : [3, 1], outDim, inDim)]),
  );
  const none: HostTensor = { shape: [0], data: new Float32Array() };
  const norm = toHost(tf.ones([32]));
  const { files, error } = exportLowRank(
    {
      config: tinyConfig,
      baseName: 'tiny',
      paths,
      updateOf: (path) => updates.get(path) ?? none,
      whole: new Map([['model.norm.weight', norm]]),
    },
    2,
  );

  test('state the error of all layers together and of the worst by name', () => {
    expect(error.worstLayer).toBe(paths[2]);
    expect(error.worst).toBeCloseTo(Math.sqrt(5 / 23), 4);
    expect(error.total).toBeCloseTo(Math.sqrt(5 / (10 + 10 + 23)), 4);
  });

  test('are in PEFT’s layout with a scale of 1, other trained weights beside them', () => {
    expect(files.config).toMatchObject({
      peft_type: 'LORA',
      r: 2,
      lora_alpha: 2,
      use_rslora: false,
      base_model_name_or_path: 'tiny',
      modules_to_save: ['model.norm'],
    });
    expect(files.tensors.get('base_model.model.model.norm.weight')).toBe(norm);
    const [a, b] = ['A', 'B'].map((x) => files.tensors.get(`base_model.model.${paths[0]}.lora_${x}.weight`) ?? none);
    const made = product(b ?? none, a ?? none);
    const wanted = updates.get(paths[0] ?? '')?.data ?? [];
    expect(normOf(Array.from(wanted, (x, i) => x - (made[i] ?? 0)))).toBeLessThan(1e-5);
  });
});
