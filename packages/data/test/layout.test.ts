import { type Batch, IGNORED } from '@moraine/contract';
import { describe, expect, test } from 'vitest';
import type { EncodedRow } from '../src/batch.js';
import { type LayoutOptions, layOut, planLayout } from '../src/layout.js';
import { layoutCost } from '../src/layout-cost.js';
import { cover } from '../src/layout-search.js';
import { packRows } from '../src/packing.js';
import { createRandom } from '../src/random.js';

const small = {
  vocabSize: 32_000,
  hiddenSize: 288,
  intermediateSize: 768,
  layers: 6,
  heads: 6,
  kvHeads: 6,
  headDim: 48,
};
const cost = layoutCost(small);

/** Lengths as instruction data has them: most rows short, a tail up to 400 tokens. */
function skewed(rows: number): Int32Array {
  const random = createRandom(1);
  return Int32Array.from({ length: rows }, () => Math.round(20 * Math.exp(3 * random.next())));
}

function stepsOf(rows: number, batchSize: number): number[][] {
  const random = createRandom(7);
  return Array.from({ length: 60 }, () => Array.from({ length: batchSize }, () => random.int(0, rows - 1)));
}

function optionsOf(lengths: Int32Array, batchSize: number, changes: Partial<LayoutOptions> = {}): LayoutOptions {
  return { lengths, steps: stepsOf(lengths.length, batchSize), packing: true, cost, passes: 500, ...changes };
}

/** Row r of length n holds tokens r*1000 .. r*1000+n-1, the first half of them as a prompt. */
function rowOf(row: number, length: number): EncodedRow {
  const ids = Array.from({ length }, (_, t) => row * 1000 + t);
  return { ids, labels: ids.map((id, t) => (t < length / 2 ? IGNORED : id)) };
}

/** The rows that stand in batches, read back by segments. */
function documentsOf(batches: readonly Batch[]): number[][] {
  return batches.flatMap(({ batch, time, ids, segments }) =>
    Array.from({ length: batch }, (_, b) => {
      const found = new Map<number, number[]>();
      for (let i = b * time; i < (b + 1) * time; i += 1) {
        const segment = segments[i] as number;
        if (segment >= 0) found.set(segment, [...(found.get(segment) ?? []), ids[i] as number]);
      }
      return [...found.values()];
    }).flat(),
  );
}

const tokensOf = (shapes: readonly { batch: number; time: number }[]): number =>
  shapes.reduce((sum, { batch, time }) => sum + batch * time, 0);

describe.each([
  ['packed', true],
  ['in length buckets', false],
])('rows %s', (_name, packing) => {
  const lengths = skewed(400);
  const options = optionsOf(lengths, 16, { packing });
  const layout = planLayout(options);

  test('stand in the micro-batches exactly once and whole', () => {
    for (const step of options.steps) {
      const rows = Array.from(step, (row, i) => rowOf(i, lengths[row] as number));
      const found = documentsOf(layOut(rows, layout, 9)).sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));
      expect(found).toEqual(rows.map(({ ids }) => ids));
    }
  });

  test('keep their labels, positions from 0, and padding that counts nowhere', () => {
    const rows = [rowOf(1, 40), rowOf(2, 30), rowOf(3, 7)];
    for (const { batch, time, ids, labels, segments, positions } of layOut(rows, layout, 9)) {
      for (let i = 0; i < batch * time; i += 1) {
        const isPadding = segments[i] === -1;
        const inRow = (ids[i] as number) % 1000;
        const length = rows[Math.floor((ids[i] as number) / 1000) - 1]?.ids.length ?? 0;
        expect(positions[i]).toBe(isPadding ? 0 : inRow);
        expect(labels[i]).toBe(isPadding || inRow < length / 2 ? IGNORED : ids[i]);
      }
    }
  });

  test('come in at most five shapes, the same for the same run, wherever it begins', () => {
    const used = new Set<string>();
    const shown = new Set(layout.shapes.map(({ batch, time }) => `${batch}x${time}`));
    for (const step of stepsOf(400, 16)) {
      for (const { shape } of layout.arrange(step.map((row) => lengths[row] as number))) {
        used.add(`${shape.batch}x${shape.time}`);
      }
    }
    expect(layout.shapes.length).toBeLessThanOrEqual(5);
    expect([...used].every((shape) => shown.has(shape))).toBe(true);
    const again = planLayout(options);
    expect(again.shapes).toEqual(layout.shapes);
    const step = Array.from(lengths.subarray(0, 16));
    expect(again.arrange(step)).toEqual(layout.arrange(step));
  });

  test('that a step never showed while shapes were chosen still find a place', () => {
    const worst = new Array<number>(16).fill(Math.max(...lengths));
    expect(layout.arrange(worst).flatMap(({ sequences }) => sequences.flat())).toHaveLength(16);
    expect(layout.arrange([3])).toHaveLength(1);
  });

  test('split into k micro-batches or more hold about a k-th of the tokens at once', () => {
    const peak = (accumulation: number) =>
      Math.max(...planLayout({ ...options, accumulation }).shapes.map(({ batch, time }) => batch * time));
    const longest = Math.ceil(Math.max(...lengths) / 8) * 8;
    expect(peak(2)).toBeLessThanOrEqual(Math.max(longest, Math.ceil(peak(1) / 2)));
    expect(peak(16)).toBe(longest);
  });
});

test('packing wastes at most a tenth of the tokens on rows of skewed lengths, where a padded batch wastes half', () => {
  const lengths = skewed(400);
  const options = optionsOf(lengths, 16);
  const layout = planLayout(options);
  let [tokens, packed, padded] = [0, 0, 0];
  for (const step of stepsOf(400, 16)) {
    const stepLengths = step.map((row) => lengths[row] as number);
    tokens += stepLengths.reduce((a, b) => a + b, 0);
    packed += tokensOf(layout.arrange(stepLengths).map(({ shape }) => shape));
    padded += 16 * Math.max(...stepLengths);
  }
  expect((packed - tokens) / packed).toBeLessThan(0.1);
  expect((padded - tokens) / padded).toBeGreaterThan(0.4);
});

test.each([
  [8, 256, 1, [8, 256]],
  [15, 100, 1, [15, 100]],
  [8, 256, 4, [2, 256]],
])(
  '%i rows of %i tokens each are micro-batches of one shape without padding (accumulation %i)',
  (rows, time, accumulation, shape) => {
    for (const packing of [true, false]) {
      const lengths = new Int32Array(100).fill(time);
      const layout = planLayout(optionsOf(lengths, rows, { packing, accumulation }));
      expect(layout.shapes).toEqual([{ batch: shape[0], time: shape[1] }]);
      expect(layout.arrange(new Array<number>(rows).fill(time))).toHaveLength(accumulation);
    }
  },
);

test('a bound on tokens holds for whole files', () => {
  const lengths = skewed(700);
  const all = Array.from(lengths, (_length, row) => row);
  const layout = planLayout({ lengths, steps: [all], packing: true, cost, passes: 10, tokensMax: 2048, shapesMax: 3 });
  expect(layout.shapes.length).toBeLessThanOrEqual(3);
  expect(Math.max(...layout.shapes.map(({ batch, time }) => batch * time))).toBeLessThanOrEqual(2048);
  const arranged = layout.arrange(lengths);
  expect(arranged.flatMap(({ sequences }) => sequences.flat()).sort((a, b) => a - b)).toEqual(all);
  const tokens = lengths.reduce((a, b) => a + b, 0);
  expect(tokensOf(arranged.map(({ shape }) => shape))).toBeLessThan(1.1 * tokens);
});

test('a row longer than every row that the layout was made for is refused', () => {
  const layout = planLayout(optionsOf(Int32Array.of(10, 12), 2));
  expect(() => layout.arrange([200])).toThrow(/200 tokens/);
});

test('packing puts each row where the least room is left', () => {
  expect(packRows([6, 5, 4, 3, 2], [10])).toEqual([
    [0, 2],
    [1, 3, 4],
  ]);
  expect(packRows([9, 3, 3], [4, 10])).toEqual([[0], [1], [2]]);
});

test('a cover is the cheapest of all ways to fill shapes', () => {
  const flat = { batchMs: ({ batch, time }: { batch: number; time: number }) => 1 + batch * time, shapeMs: 0 };
  const found = cover(
    [10, 4, 4, 4],
    [
      { batch: 1, time: 10 },
      { batch: 3, time: 4 },
      { batch: 4, time: 10 },
    ],
    flat,
  );
  expect(found?.ms).toBe(11 + 13);
  expect(cover([11], [{ batch: 1, time: 10 }], flat)).toBeNull();
});
