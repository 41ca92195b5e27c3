import { epochOrder } from '@moraine/data';
import { describe, expect, test } from 'vitest';
import { createMixedOrder, createRowOrder, type DrawnFile } from '../src/row-order.js';

const steps = (rowsOf: (step: number) => number[], from: number, to: number) =>
  Array.from({ length: to - from + 1 }, (_, i) => rowsOf(from + i));

test('steps take the rows of the epochs’ shuffled orders, end to end and each in its place', () => {
  const laid = [0, 1, 2].flatMap((epoch) => [...epochOrder(10, 7, epoch)]);
  const taken = steps(createRowOrder(10, 7, 4), 1, 7);
  expect(taken.flat()).toEqual(laid.slice(0, 28));
  expect(taken[0]).toEqual(laid.slice(0, 4));
  expect(taken[2]).toEqual([laid[8], laid[9], laid[10], laid[11]]);
});

test('a run that is resumed at any step takes the rows that the uninterrupted one takes', () => {
  const whole = steps(createRowOrder(10, 7, 4), 1, 8);
  for (const from of [1, 2, 3, 6, 8])
    expect(steps(createRowOrder(10, 7, 4), from, 8), `from step ${from}`).toEqual(whole.slice(from - 1));
});

test('the seed decides the order', () => {
  expect(createRowOrder(50, 1, 50)(1)).not.toEqual(createRowOrder(50, 2, 50)(1));
  expect(createRowOrder(50, 1, 50)(1)).not.toEqual(createRowOrder(50, 1, 50)(2));
});

const shownUpTo = (last: number): number[] => steps(createRowOrder(10, 7, 4), 1, last).flat();

test('an epoch shows every row once, and every epoch in another order', () => {
  const shown = shownUpTo(10); // 40 rows: four epochs of ten
  const epochs = [0, 1, 2, 3].map((epoch) => shown.slice(epoch * 10, (epoch + 1) * 10));
  for (const rows of epochs) expect([...rows].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(new Set(epochs.map((rows) => rows.join())).size).toBe(4);
});

test('the rows of a step do not depend on which steps were asked for before', () => {
  const rowsOf = createRowOrder(10, 7, 4);
  const backward = [5, 4, 3, 2, 1].map((step) => rowsOf(step)).reverse();
  expect(backward.flat()).toEqual(shownUpTo(5));
});

test('a step of more rows than the file has shows some again', () => {
  const rows = createRowOrder(3, 1, 7)(1);
  const counts = [0, 1, 2].map((row) => rows.filter((shown) => shown === row).length).sort();
  expect(counts).toEqual([2, 2, 3]);
});

describe('rows of several files', () => {
  const files = [
    { rows: 10, weight: 5 },
    { rows: 4, weight: 2 },
    { rows: 50, weight: 1 },
  ];
  const firstOf = [0, 10, 14, 64];
  const fileOf = (row: number): number => firstOf.findIndex((first) => row < first) - 1;
  const drawn = (last: number, batchSize = 4, of: readonly DrawnFile[] = files): number[] =>
    steps(createMixedOrder(of, 7, batchSize), 1, last).flat();

  test('come in their shares at every moment, whatever the size of their files', () => {
    const taken = drawn(400).map(fileOf);
    for (const [file, { weight }] of files.entries()) {
      for (let n = 1; n <= taken.length; n += 1) {
        const own = taken.slice(0, n).filter((one) => one === file).length;
        expect(Math.abs(own - (n * weight) / 8), `file ${file} after ${n}`).toBeLessThan(2);
      }
      expect(taken.filter((one) => one === file)).toHaveLength(200 * weight);
    }
  });

  test('come file by file in shuffled orders, each row once before one comes again', () => {
    const taken = drawn(100);
    for (const [file, { rows }] of files.entries()) {
      const own = taken.filter((row) => fileOf(row) === file);
      for (let first = 0; first + rows <= own.length; first += rows)
        expect(new Set(own.slice(first, first + rows)).size).toBe(rows);
    }
    const orders = [0, 1].map((epoch) => taken.filter((row) => row < 10).slice(epoch * 10, epoch * 10 + 10));
    expect(orders[0]).not.toEqual(orders[1]);
    expect(orders.flat()).toEqual([...epochOrder(10, 7, 0), ...epochOrder(10, 7, 1)]);
  });

  test('come in the same order whatever the size of a step, and after a resume', () => {
    expect(drawn(30, 4)).toEqual(drawn(12, 10));
    expect(createMixedOrder(files, 7, 4)(23)).toEqual(drawn(30).slice(88, 92));
  });

  test('are those of the file alone where there is one, or where the others weigh nothing beside it', () => {
    expect(drawn(20, 4, [{ rows: 10, weight: 3 }])).toEqual(shownUpTo(20));
    const heavy = drawn(20, 4, [
      { rows: 10, weight: 1e6 },
      { rows: 10, weight: 1e-6 },
    ]);
    expect(heavy).toEqual(shownUpTo(20));
  });

  test('a tenth is every tenth row, although 0.1 is no number of the machine', () => {
    const taken = drawn(3000, 1, [
      { rows: 7, weight: 0.9 },
      { rows: 7, weight: 0.1 },
    ]);
    const places = taken.flatMap((row, i) => (row >= 7 ? [i] : []));
    expect(places).toHaveLength(300);
    expect(new Set(places.map((place) => place % 10)).size).toBe(1);
  });
});
