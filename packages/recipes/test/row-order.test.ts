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
