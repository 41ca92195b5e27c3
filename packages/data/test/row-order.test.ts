import { epochOrder } from '@moraine/data';
import { expect, test } from 'vitest';
import { createRowOrder } from '../src/row-order.js';

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
