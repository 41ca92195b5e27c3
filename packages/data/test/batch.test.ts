import { describe, expect, test } from 'vitest';
import { collate, packDocuments, packedBatch } from '../src/batch.js';
import { createRandom, epochOrder } from '../src/random.js';

describe('collate', () => {
  test('pads to the longest row, rounded up, with ignored labels and a segment of their own', () => {
    const rows = [
      { ids: [5, 6, 7], labels: [-100, 6, 7] },
      { ids: [8], labels: [8] },
    ];
    expect(collate(rows, { padId: 3, multiple: 4 })).toEqual({
      batch: 2,
      time: 4,
      ids: Int32Array.of(5, 6, 7, 3, 8, 3, 3, 3),
      labels: Int32Array.of(-100, 6, 7, -100, 8, -100, -100, -100),
      segments: Int32Array.of(0, 0, 0, -1, 0, -1, -1, -1),
      positions: Int32Array.of(0, 1, 2, 0, 0, 0, 0, 0),
    });
  });
});

describe('packing', () => {
  test('a row starts at a document; a cut document is shown again whole', () => {
    const packed = packDocuments([[1, 2, 3], [4, 5, 6], [7, 8], [9]], 5);
    expect(packed.rows).toBe(2);
    expect([...packed.tokens]).toEqual([1, 2, 3, 4, 5, 4, 5, 6, 7, 8]);
    expect([...packed.segments]).toEqual([0, 0, 0, 1, 1, 0, 0, 0, 1, 1]);
  });

  test('a document longer than a row is shown once, cut, and packing goes on', () => {
    const packed = packDocuments(
      [
        [1, 2, 3, 4, 5, 6],
        [7, 8],
        [9, 10],
      ],
      4,
    );
    expect([...packed.tokens]).toEqual([1, 2, 3, 4, 7, 8, 9, 10]);
  });

  test('the unfilled last row is left out, or kept with padding', () => {
    expect(packDocuments([[1, 2], [3]], 4).rows).toBe(0);
    const kept = packDocuments([[1, 2], [3]], 4, { keepTail: true, padId: 0 });
    expect([...kept.tokens]).toEqual([1, 2, 3, 0]);
    expect([...kept.segments]).toEqual([0, 0, 1, -1]);
    const batch = packedBatch(kept, [0]);
    expect([...batch.labels]).toEqual([1, 2, 3, -100]);
    expect([...batch.positions]).toEqual([0, 1, 0, 0]);
  });

  test('a batch takes rows in the order asked for', () => {
    const packed = packDocuments(
      [
        [1, 2],
        [3, 4],
        [5, 6],
      ],
      2,
    );
    const batch = packedBatch(packed, [2, 0]);
    expect(batch).toMatchObject({ batch: 2, time: 2 });
    expect([...batch.ids]).toEqual([5, 6, 1, 2]);
  });
});

describe('random numbers', () => {
  test('are the same for a seed and stream on every machine', () => {
    const random = createRandom(42, 7);
    const drawn = Array.from({ length: 4 }, () => random.int(0, 999));
    expect(drawn).toMatchInlineSnapshot(`
      [
        443,
        577,
        888,
        681,
      ]
    `);
  });

  test('differ between seeds and between streams', () => {
    const first = (seed: number, stream: number): number => createRandom(seed, stream).next();
    const all = [first(1, 0), first(2, 0), first(1, 1), first(2, 1), first(2 ** 40, 0)];
    expect(new Set(all).size).toBe(5);
  });

  test('are spread evenly', () => {
    const random = createRandom(3);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 20_000; i += 1) {
      const cell = random.int(0, 9);
      counts[cell] = (counts[cell] ?? 0) + 1;
    }
    const chiSquare = counts.reduce((sum, n) => sum + (n - 2000) ** 2 / 2000, 0);
    expect(chiSquare).toBeLessThan(27.9); // 9 degrees of freedom, p = 0.001
    expect(random.weighted([0, 0, 1, 0])).toBe(2);
    expect(new Set(random.sample([1, 2, 3, 4], 4)).size).toBe(4);
    expect(() => random.sample([1], 2)).toThrow('Cannot draw 2');
  });

  test('an epoch’s order is a permutation that depends on seed and epoch alone', () => {
    const order = epochOrder(1000, 5, 0);
    expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1000 }, (_, i) => i));
    expect(epochOrder(1000, 5, 0)).toEqual(order);
    expect(epochOrder(1000, 5, 1)).not.toEqual(order);
    expect(epochOrder(1000, 6, 0)).not.toEqual(order);
  });
});
