import { expect, test } from 'vitest';
import { type HostTensor, initialAdapter, weightReader } from '../src/index.js';
import { normalRows, orthonormalRows, symmetricEigen, truncatedSvd } from '../src/linalg.js';
import { createRandom } from '../src/random.js';
import { difference, goldenOf, goldenRows } from './golden-set.js';

const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number =>
  Array.from(a).reduce((sum, x, i) => sum + x * (b[i] ?? 0), 0);

/** A matrix of known singular values, from orthonormal vectors of both sides. */
function madeOf(values: readonly number[], outDim: number, inDim: number) {
  const left = orthonormalRows(normalRows(createRandom(1), values.length, outDim));
  const right = orthonormalRows(normalRows(createRandom(2), values.length, inDim));
  return { left, right, matrix: sumOf({ left, values, right }, outDim, inDim) };
}

/** Σ value · left · rightᵀ. */
function sumOf(
  { left, values, right }: { left: Float64Array[]; values: readonly number[]; right: Float64Array[] },
  outDim: number,
  inDim: number,
): HostTensor {
  const data = new Float32Array(outDim * inDim);
  for (let i = 0; i < outDim; i++)
    for (let j = 0; j < inDim; j++)
      data[i * inDim + j] = values.reduce(
        (sum, value, k) => sum + value * (left[k]?.[i] ?? 0) * (right[k]?.[j] ?? 0),
        0,
      );
  return { shape: [outDim, inDim], data };
}

test('rows become orthonormal, and one that depends on those before becomes zero', () => {
  const [a, b] = normalRows(createRandom(3), 2, 5);
  if (a === undefined || b === undefined) throw new Error('two rows');
  const rows = orthonormalRows([a, b, a.map((x, i) => x - 2 * (b[i] ?? 0)), ...normalRows(createRandom(4), 1, 5)]);
  for (const [i, x] of rows.entries())
    for (const [j, y] of rows.entries()) expect(dot(x, y)).toBeCloseTo(i === j && i !== 2 ? 1 : 0, 12);
});

test('eigenvalues and eigenvectors of a symmetric matrix are those by hand', () => {
  // [[2, 1], [1, 2]] has 1 on (1, -1) and 3 on (1, 1).
  const { values, vectors } = symmetricEigen([
    [2, 1],
    [1, 2],
  ]);
  expect([...values].sort()).toEqual([expect.closeTo(1, 12), expect.closeTo(3, 12)]);
  for (const column of [0, 1]) {
    const [x = 0, y = 0] = vectors.map((row) => row[column]);
    expect(2 * x + y).toBeCloseTo((values[column] ?? 0) * x, 12);
  }
});

// Up to 64 rows or columns exact, above by iteration; wide, tall, and of low rank.
test.each([
  [12, 20, 3],
  [20, 12, 12],
  [90, 140, 4],
  [140, 90, 8],
])('the largest singular values of a matrix of %i by %i are found, %i of them', (outDim, inDim, rank) => {
  const side = Math.min(outDim, inDim);
  const values = Array.from({ length: side }, (_, i) => 3 * 0.9 ** i);
  const { left, right, matrix } = madeOf(values, outDim, inDim);
  const found = truncatedSvd(matrix, rank, createRandom(5));
  expect(found.values).toHaveLength(rank);
  for (const [i, value] of found.values.entries()) expect(value).toBeCloseTo(values[i] ?? 0, 5);
  const best = sumOf(
    { left: left.slice(0, rank), values: values.slice(0, rank), right: right.slice(0, rank) },
    outDim,
    inDim,
  );
  expect(difference(sumOf(found, outDim, inDim).data, best.data)).toBeLessThan(2e-5);
});

test('a matrix of a lower rank than asked for has zeros, and nothing that is no number', () => {
  const { matrix } = madeOf([2, 1], 9, 7);
  const { values, left, right } = truncatedSvd(matrix, 4, createRandom(5));
  expect(values.map((value) => Number(value.toFixed(5)))).toEqual([2, 1, 0, 0]);
  for (const row of [...left, ...right]) expect(row.every(Number.isFinite)).toBe(true);
});

// PEFT starts from torch.linalg.svd; signs of vectors may differ, the product of the two matrices may not.
test.each(['llama-tied, pissa', 'llama-untied, pissa'])(
  '%s: starts with the matrices that PEFT starts with',
  (name) => {
    const row = goldenRows.find((each) => each.name === name);
    if (row === undefined) throw new Error(name);
    const { config, weights, adapter, start } = goldenOf(row);
    if (adapter === null) throw new Error(name);
    const ours = initialAdapter(config, adapter, 1, weightReader(weights));
    const product = (values: ReadonlyMap<string, HostTensor>, path: string): number[] => {
      const [a, b] = ['start_A', 'start_B'].map((role) => values.get(`${path}.${role}`));
      const [rank = 0, inDim = 0] = a?.shape ?? [];
      return Array.from({ length: b?.shape[0] ?? 0 }, (_, i) =>
        Array.from({ length: inDim }, (_unused, j) =>
          Array.from(
            { length: rank },
            (_rank, k) => (b?.data[i * rank + k] ?? 0) * (a?.data[k * inDim + j] ?? 0),
          ).reduce((x, y) => x + y),
        ),
      ).flat();
    };
    for (const path of adapter.paths) {
      expect(difference(product(ours, path), product(start, path)), path).toBeLessThan(1e-5);
      expect(ours.get(`${path}.lora_A`)).toEqual(ours.get(`${path}.start_A`));
    }
  },
);
