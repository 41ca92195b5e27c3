// Expected numbers: references.json, NumPy's in doubles (scripts/lab/references.py); matrices made of known directions.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { loadTf } from '@moraine/engine';
import { describe, expect, test } from 'vitest';
import { createLayerLab, type Update, type UpdateFigures } from '../../src/index.js';
import { normalRows, orthonormalRows } from '../../src/linalg.js';
import { createRandom, normal } from '../../src/random.js';

const tf = loadTf();
type Matrix = number[][];
type Case = Pick<UpdateFigures, 'values' | 'rank90' | 'stableRank' | 'overlap' | 'cosines'> & {
  name: string;
  k: number;
  relative: number;
  weight: Matrix;
} & ({ update: Matrix } | { a: Matrix; b: Matrix });

const { cases } = JSON.parse(readFileSync(join(import.meta.dirname, 'references.json'), 'utf8')) as { cases: Case[] };
const tensorOf = (rows: Matrix) => ({
  shape: [rows.length, rows[0]?.length ?? 0],
  data: Float32Array.from(rows.flat()),
});

function measure(weight: Matrix, update: Update, k = 4): UpdateFigures {
  const lab = createLayerLab(tensorOf(weight), { k, random: createRandom(1) });
  const figures = lab.measure(update);
  lab.dispose();
  return figures;
}

test.each(cases)('$name: NumPy finds the same', (row) => {
  const update: Update =
    'update' in row
      ? { kind: 'dense', matrix: tensorOf(row.update) }
      : { kind: 'thin', b: tensorOf(row.b), a: tensorOf(row.a) };
  const found = measure(row.weight, update, row.k);
  for (const [i, value] of row.values.entries())
    expect(Math.abs((found.values[i] ?? 0) - value)).toBeLessThan(1e-6 * found.norm);
  expect((found.relativeNorm ?? 0) / row.relative).toBeCloseTo(1, 5);
  expect(found.rank90).toBe(row.rank90);
  expect(found.stableRank).toBeCloseTo(row.stableRank ?? Number.NaN, 4);
  expect(found.overlap?.k).toBe(row.overlap?.k);
  expect(found.overlap?.left).toBeCloseTo(row.overlap?.left ?? Number.NaN, 4);
  expect(found.overlap?.right).toBeCloseTo(row.overlap?.right ?? Number.NaN, 4);
  expect(found.cosines).toHaveLength(row.cosines.length);
  for (const [i, cosine] of row.cosines.entries()) expect(found.cosines[i]).toBeCloseTo(cosine, 4);
});

describe('known answers', () => {
  /** Σ value · left · rightᵀ of 12 by 9, of orthonormal directions. */
  const [left, right] = [
    orthonormalRows(normalRows(createRandom(2), 12, 12)),
    orthonormalRows(normalRows(createRandom(3), 9, 9)),
  ];
  const sumOf = (parts: readonly [value: number, left: number, right: number][]): Matrix =>
    Array.from({ length: 12 }, (_, i) =>
      Array.from({ length: 9 }, (__, j) =>
        parts.reduce((sum, [value, l, r]) => sum + value * (left[l]?.[i] ?? 0) * (right[r]?.[j] ?? 0), 0),
      ),
    );
  const dense = (rows: Matrix): Update => ({ kind: 'dense', matrix: tensorOf(rows) });
  // Nine of the twelve directions of the outputs; the last three are orthogonal to every one of W0.
  const weight = sumOf(Array.from({ length: 9 }, (_, i): [number, number, number] => [9 - i, i, i]));

  test('a direction that the base has nothing of is an intruder as soon as it is among the largest', () => {
    const { cosines, overlap } = measure(weight, dense(sumOf([[20, 10, 8]])));
    expect(cosines[0]).toBeCloseTo(1 / Math.hypot(20, 1), 4); // the base's smallest has the same inputs
    expect(cosines.slice(1).every((cosine) => cosine > 0.9)).toBe(true);
    expect(overlap).toMatchObject({ k: 1, left: expect.closeTo(0, 6) });
    const small = measure(weight, dense(sumOf([[0.5, 10, 8]])));
    expect(small.cosines.every((cosine) => cosine > 0.9)).toBe(true);
  });

  test('an update along the base’s own directions overlaps wholly and makes no intruder', () => {
    const { cosines, overlap, rank90, stableRank } = measure(weight, dense(sumOf([[2, 0, 0], [1, 1, 1]]))); // biome-ignore format: directions
    expect(overlap).toMatchObject({ k: 2, left: expect.closeTo(1, 5), right: expect.closeTo(1, 5) });
    for (const cosine of cosines) expect(cosine).toBeCloseTo(1, 4);
    expect([rank90, stableRank]).toEqual([2, expect.closeTo(5 / 4, 5)]);
  });

  test('of three directions, with 0.9 of the squares in two, the rank is two', () => {
    expect(measure(weight, dense(sumOf([[3, 3, 4], [1, 2, 3], [1, 1, 1]]))).rank90).toBe(2); // biome-ignore format: directions
  });

  test('no change has no rank, no direction and nothing to compare with', () => {
    expect(measure(weight, dense(sumOf([])))).toEqual({
      values: Array.from({ length: 9 }, () => 0),
      norm: 0,
      relativeNorm: 0,
      rank90: 0,
      stableRank: null,
      overlap: null,
      cosines: [1, 1, 1, 1],
      control: null,
    });
  });

  test('the control is normal numbers of the update’s norm, measured as an update is', () => {
    const { control, norm } = measure(weight, dense(sumOf([[2, 10, 1]])));
    const noise = normal(createRandom(1), 12 * 9, 1);
    const length = Math.sqrt(noise.reduce((sum, x) => sum + x * x, 0));
    const same = measure(weight, {
      kind: 'dense',
      matrix: { shape: [12, 9], data: noise.map((x) => (x * norm) / length) },
    });
    expect(control?.rank90).toBe(same.rank90);
    expect(control?.stableRank).toBeCloseTo(same.stableRank ?? Number.NaN, 4);
    expect(control?.overlap?.left).toBeCloseTo(same.overlap?.left ?? Number.NaN, 4);
    for (const [i, cosine] of same.cosines.entries()) expect(control?.cosines[i]).toBeCloseTo(cosine, 4);
  });

  test('measuring leaves no tensor behind', () => {
    const before = tf.memory().numTensors;
    measure(weight, dense(sumOf([[2, 10, 1]])));
    measure(weight, {
      kind: 'thin',
      b: tensorOf(weight.map((row) => row.slice(0, 2))),
      a: tensorOf(weight.slice(0, 2)),
    });
    expect(tf.memory().numTensors).toBe(before);
  });
});
