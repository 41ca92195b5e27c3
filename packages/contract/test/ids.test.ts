import { expect, test } from 'vitest';
import { ID_PREFIX, type IdKind, newId } from '../src/index.js';

test('every kind of id has its prefix and 24 letters of base 36', () => {
  for (const kind of Object.keys(ID_PREFIX) as IdKind[]) {
    expect(newId(kind)).toMatch(new RegExp(`^${ID_PREFIX[kind]}[0-9a-z]{24}$`));
  }
});

test('no prefix begins another one, so an id tells what it names', () => {
  const prefixes = Object.values(ID_PREFIX);
  for (const one of prefixes) expect(prefixes.filter((other) => other.startsWith(one))).toEqual([one]);
});

test('ten thousand ids differ, and every letter comes about as often', () => {
  const ids = Array.from({ length: 10_000 }, () => newId('run').slice(ID_PREFIX.run.length));
  expect(new Set(ids).size).toBe(ids.length);
  const counts = new Map<string, number>();
  for (const letter of ids.join('')) counts.set(letter, (counts.get(letter) ?? 0) + 1);
  expect(counts.size).toBe(36);
  // 240,000 letters, 6,667 of each; the standard deviation is 80.
  for (const count of counts.values()) expect(Math.abs(count - 240_000 / 36)).toBeLessThan(600);
});
