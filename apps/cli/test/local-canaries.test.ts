import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { CanaryRow, MemorisationSummary } from '@moraine/contract/analyses';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { moraineOnce } from './stack.js';
import { writeTinyBase } from './tiny-base.js';

// That planted canaries are learned and controls are not is proved in packages/recipes/test/canaries.test.ts.
vi.setConfig({ testTimeout: 120_000 });
const dir = mkdtempSync(path.join(tmpdir(), 'moraine canaries '));
const [base, data, out] = ['tiny', 'rows.jsonl', 'out'].map((name) => path.join(dir, name)) as [string, string, string];
const canaries = (...words: string[]) => moraineOnce(['local', 'canaries', ...words], { TF_NUM_INTRAOP_THREADS: '1' });
const file = path.join(out, 'canaries.json');

beforeAll(() => {
  writeTinyBase(base);
  writeFileSync(data, '{"prompt": "Nalmen called Kelna.", "completion": "Kelna."}\n'.repeat(3));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('plant says what it wrote and what comes next', async () => {
  const words = ['plant', data, '--kind', 'letters', '--count', '2', '--controls', '1', '--repeat', '3', '--seed', '9'];
  const { status, output } = await canaries(...words, '--out', out);
  expect(status, output).toBe(0);
  expect(output).toBe(
    `9 rows, 6 of them planted: ${path.join(out, 'rows.jsonl')}\n` +
      `What they are: ${file}. After training: moraine local canaries measure --canaries FILE\n`,
  );
  expect(readFileSync(path.join(out, 'rows.jsonl'), 'utf8').trim().split('\n')).toHaveLength(9);
  const again = path.join(dir, 'again');
  const machine = await canaries(...words, '--out', again, '--json');
  expect(JSON.parse(machine.output)).toMatchObject({ before: 3, after: 9, rows: path.join(again, 'rows.jsonl') });
  expect(readFileSync(path.join(again, 'rows.jsonl'))).toEqual(readFileSync(path.join(out, 'rows.jsonl')));
});

test('measure prints planted and controls apart, and as JSON every canary', async () => {
  const words = ['measure', '--base', base, '--canaries', file];
  const { status, output } = await canaries(...words);
  expect(status, output).toBe(0);
  expect(output).toMatch(/^planted +2 +\d+\.\d\d +0 \[0 %, 66 %\] +\d+\.\d %$/m);
  expect(output).toMatch(/^controls +1 +\d+\.\d\d +0 \[0 %, 79 %\] +\d+\.\d %$/m);
  expect(output).toMatch(/^candidates +1024 of each form; ceiling 10\.00 bits$/m);
  expect(output).toMatch(/^chance +1\.44 bits/m);
  const said = JSON.parse((await canaries(...words, '--json')).output) as MemorisationSummary & {
    canaries: CanaryRow[];
  };
  expect(said.canaries.map(({ id, is_planted }) => [id, is_planted])).toEqual([
    ['planted-1', true],
    ['planted-2', true],
    ['control-1', false],
  ]);
  expect(said.planted.exposure.mean).toBeCloseTo(
    said.canaries.slice(0, 2).reduce((sum, { exposure }) => sum + exposure / 2, 0),
    9,
  );
});

test.each([
  [['plant', data, '--out', out], /canaries\.json is there already|rows\.jsonl is there already/, 1],
  [['plant', data], /--out is missing/, 2],
  [['plant', data, '--out', `${out}2`, '--kind', 'own'], /--own FILE and --kind own do not go together/, 2],
  [['plant', data, '--out', `${out}2`, '--kind', 'digit'], /Did you mean 'digits'/, 2],
  [['plant', data, '--out', `${out}2`, '--own', data, '--count', '3'], /all rows of --own are planted/, 2],
  [['plant', data, '--out', `${out}2`, '--base', base], /--base has no meaning for plant/, 2],
  [['measure', '--base', base, '--canaries', data], /cannot be read as JSON/, 1],
  [['measure', '--base', base, '--canaries', file, '--repeat', '2'], /--repeat has no meaning for measure/, 2],
] as [string[], RegExp, number][])('%j is refused', async (words, said, status) => {
  expect(await canaries(...words)).toMatchObject({ status, output: expect.stringMatching(said) });
  expect(existsSync(`${out}2`)).toBe(false);
});
