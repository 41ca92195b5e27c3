import { expect, test } from 'vitest';
import { intruderCurve, summariseWeights, WeightRow } from '../src/analyses/index.js';

const figures = (rank_90: number, cosines: number[], left: number | null) => ({
  rank_90,
  stable_rank: left === null ? null : rank_90 / 2,
  overlap: left === null ? null : { k: 2, left, right: left / 2 },
  cosines,
  intruders: cosines.filter((cosine) => cosine < 0.5).length,
});

function rowOf(
  source: string,
  layer: string,
  rank_90: number,
  cosines: number[],
  left: number | null = 0.4,
): WeightRow {
  return WeightRow.parse({
    source,
    step: null,
    layer,
    module: layer.split('.').at(-1),
    shape: [4, 3],
    lambda: 1,
    from: 'matrix',
    norm: 1,
    relative_norm: rank_90 / 10,
    singular_values: [1],
    epsilon: 0.5,
    ...figures(rank_90, cosines, left),
    control: left === null ? null : figures(3, [0.2, 0.2], 0.1),
  });
}

test('an intruder at ε is a direction whose cosine is below it', () => {
  const curve = intruderCurve([0.05, 0.5, 0.95]);
  expect(curve.map(({ intruders }) => intruders)).toEqual([1, 1, 1, 1, 1, 2, 2, 2, 2]);
  expect(curve.map(({ epsilon }) => epsilon)).toEqual([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]);
});

test('layers of one kind are a mean, sources stay apart in their order, and a layer that did not change has no direction to count', () => {
  const rows = [
    rowOf('b', 'layers.0.q_proj', 2, [0.1, 0.9], 0.4),
    rowOf('a', 'layers.0.q_proj', 9, [0.9, 0.9]),
    rowOf('b', 'layers.0.up_proj', 1, [0.9, 0.9]),
    rowOf('b', 'layers.1.q_proj', 4, [0.3, 0.4], 0.2),
    rowOf('b', 'layers.2.q_proj', 0, [1, 1], null),
  ];
  const summary = summariseWeights(rows);
  expect(summary.map(({ source, module, layers }) => [source, module, layers])).toEqual([
    ['b', 'q_proj', 3],
    ['b', 'up_proj', 1],
    ['a', 'q_proj', 1],
  ]);
  expect(summary[0]).toMatchObject({
    rank_90: 2,
    stable_rank: 1.5,
    overlap_left: expect.closeTo(0.3, 12),
    overlap_right: expect.closeTo(0.15, 12),
    intruders: 1,
    relative_norm: expect.closeTo(0.2, 12),
    control: { rank_90: 3, intruders: 2, overlap_left: expect.closeTo(0.1, 12) },
  });
  expect(summary[0]?.intruder_curve.at(3)).toEqual({ epsilon: 0.4, intruders: expect.closeTo(2 / 3, 12) });
  // Both of a control's cosines are 0.2.
  expect(summary[0]?.control?.intruder_curve.slice(0, 3).map(({ intruders }) => intruders)).toEqual([0, 0, 2]);
});
