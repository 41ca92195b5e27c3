import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { codeRows, cutRows } from '../papers/code-rows.js';

const bytes = (text: string): number[] => [...Buffer.from(text)];

test('a text is cut at line ends into rows as long as fit; all of it is there but lines that fit into none', () => {
  const text = 'one\ntwo\nthree\n\n';
  expect(cutRows(text, bytes, 8)).toEqual(['one\ntwo\n', 'three\n\n']);
  expect(cutRows(text, bytes, 15)).toEqual([text]);
  expect(cutRows(`a\n${'x'.repeat(20)}\nb\n`, bytes, 8)).toEqual(['a\n', 'b\n']);
  expect(cutRows('\n\n', bytes, 8)).toEqual([]);
});

test('every source of the repository is in one part, rows fit, and none is there twice', () => {
  const rows = codeRows(resolve(import.meta.dirname, '../../..'), bytes, 350);
  const all = Object.values(rows).flat() as { text: string }[];
  expect(new Set(all.map(({ text }) => text)).size).toBe(all.length);
  expect(Math.max(...all.map(({ text }) => Buffer.byteLength(text)))).toBeLessThanOrEqual(350);
  const share = rows.test.length / all.length;
  expect(rows.validation.length / all.length).toBeGreaterThan(0.04);
  expect(share).toBeGreaterThan(0.04);
  expect(share + rows.validation.length / all.length).toBeLessThan(0.35);
});
