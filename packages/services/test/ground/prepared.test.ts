import { expect, test } from 'vitest';
import { statementNames } from '../../src/ground/prepared.js';

test('a text has one name, other texts have others, and no more than 500 have one', () => {
  const statementName = statementNames(500);
  const names = Array.from({ length: 600 }, (_, i) => statementName(`SELECT ${i}`));
  expect(new Set(names.slice(0, 500)).size).toBe(500);
  expect(names.slice(500).every((name) => name === undefined)).toBe(true);
  expect(statementName('SELECT 7')).toBe(names[7]);
  // Postgres cuts longer names off.
  expect(Math.max(...names.map((name) => name?.length ?? 0))).toBeLessThan(64);
});
