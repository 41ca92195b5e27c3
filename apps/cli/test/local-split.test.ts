import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { moraineOnce } from './stack.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine split '));
const rows = path.join(dir, 'rows.jsonl');
const split = (...words: string[]) => moraineOnce(['local', 'split', rows, ...words]);
const linesOf = (...names: string[]): number[] =>
  names.map((name) => readFileSync(path.join(dir, name), 'utf8').trimEnd().split('\n').length);

beforeAll(() => {
  const lines = Array.from({ length: 40 }, (_, i) => `${JSON.stringify({ text: `Row ${i % 38}` })}\n`);
  writeFileSync(rows, lines.join(''));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a tenth of the rows each to choose and to judge by, and what went where is said', async () => {
  const { status, output } = await split('--out', path.join(dir, 'parts'));
  expect(status).toBe(0);
  expect(output).toContain('40 rows, 38 of them distinct; equal rows are in the same file.');
  const sizes = linesOf('parts/validation.jsonl', 'parts/test.jsonl', 'parts/train.jsonl');
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(40);
  for (const [i, name] of ['validation', 'test', 'train'].entries())
    expect(output).toMatch(new RegExp(`^ *${sizes[i]} in .*${name}\\.jsonl$`, 'm'));
});

test('a part of no rows is not made, numbers of rows are taken, and programs get the same as JSON', async () => {
  const words = ['--validation', '12', '--test', '0', '--seed', '3', '--json'];
  const { status, output } = await split('--out', path.join(dir, 'two'), ...words);
  expect(status).toBe(0);
  const report = JSON.parse(output) as { parts: { distinct: number }[] };
  expect(report).toMatchObject({ rows: 40, distinct: 38, seed: 3 });
  expect(report.parts.map(({ distinct }) => distinct)).toEqual([12, 26]);
  expect(readdirSync(path.join(dir, 'two')).sort()).toEqual(['train.jsonl', 'validation.jsonl']);
});

test('what is neither a share nor a number, and files that are there, are refused', async () => {
  const half = await split('--out', path.join(dir, 'no'), '--test', '2.5');
  expect(half.status).toBe(2);
  expect(half.output).toContain('--test is 2.5, which is neither a share nor a number of rows.');
  const again = await split('--out', path.join(dir, 'two'));
  expect(again.status).toBe(1);
  expect(again.output).toMatch(/two\/validation\.jsonl cannot be made: .*Name a new file\./);
  expect(readdirSync(path.join(dir, 'two')).sort()).toEqual(['train.jsonl', 'validation.jsonl']);
});
