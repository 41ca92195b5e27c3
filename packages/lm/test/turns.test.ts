import { expect, test } from 'vitest';
import { nextTurn } from '../src/generation/turns.js';

const requests = { a: Symbol('a'), b: Symbol('b'), c: Symbol('c') };
const prompt = (tenant: string, request: keyof typeof requests) => ({
  options: { tenant, request: requests[request] },
});

test('those of one request take their turn in order', () => {
  const one = prompt('t', 'a');
  expect(nextTurn([one, one, one], [])).toBe(0);
  expect(nextTurn([one, one], [one])).toBe(0);
  expect(nextTurn([], [one])).toBe(-1);
});

test('a request that has no row goes before one of the same tenant that has, and in order where both have as many', () => {
  const [a, b] = [prompt('t', 'a'), prompt('t', 'b')];
  expect(nextTurn([a, a, b], [a])).toBe(2);
  expect(nextTurn([a, a, b], [a, b])).toBe(0);
});

test('a tenant that has fewer rows goes first, however many requests the other has', () => {
  const [a, b, other] = [prompt('t', 'a'), prompt('t', 'b'), prompt('u', 'c')];
  expect(nextTurn([a, b, other], [a])).toBe(2);
  expect(nextTurn([b, other], [a, other])).toBe(0);
  expect(nextTurn([b, other], [a, other, other])).toBe(0);
});
