import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { drawCanaries } from '@moraine/contract/analyses';
import { validateEvalsAside } from '@moraine/data';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { validateEvals } from '../src/validate-evals.js';

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'moraine-evals-'));
});
afterAll(() => rm(dir, { recursive: true }));

const report = async (...rows: (object | string)[]) => {
  const file = join(dir, 'rows.jsonl');
  await writeFile(file, rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'));
  return validateEvals(file);
};

const trained = { prompt: 'a', completion: 'b' };
const choice = { query: 'q', choices: ['a', 'b'], gold: 0 };
const maths = { question: '1 + 1?', answer: 'It is #### 2' };

test.each([
  ['rows to train on', [trained, trained], 2, 'prompt_completion'],
  ['rows of a suite', [choice, choice, choice], 3, null],
  ['rows of another suite', [maths], 1, null],
])('%s are good', async (_, rows, count, format) => {
  expect(await report(...rows)).toMatchObject({ rows: count, format, errors: [], isPartial: false });
});

test('a file of canaries is good, and one that is none of them is not', async () => {
  const drawn = drawCanaries('digits', { count: 1, controls: 0, seed: 1 });
  const head = { format: 'moraine-canaries', format_version: 1, kind: 'digits', seed: 1, repeat: 1 };
  const planted = { ...head, row_format: 'chat', ...drawn };
  expect(await report(JSON.stringify(planted, null, 2))).toMatchObject({ errors: [], rows: 0 });
  expect((await report(JSON.stringify({ ...planted, seed: 'x' }, null, 2))).errors).not.toEqual([]);
});

test('a row that is none of the suite of those before it is named with its line and what to do', async () => {
  const { errors, rows } = await report(choice, choice, { ...choice, gold: 7 });
  expect(errors).toEqual([
    {
      line: 3,
      key: '',
      code: 'invalid_value',
      message: expect.stringMatching(/^Line 3: /),
      hint: expect.stringMatching(/./),
    },
  ]);
  expect(rows).toBe(0);
});

test('among rows to train on a wrong one is named as such, and so are rows of nothing', async () => {
  const { errors } = await report(trained, { prompt: 'a' });
  expect(errors).toMatchObject([{ line: 2 }]);
  expect(await report(trained, choice)).toMatchObject({ errors: [{ line: 2 }] });
  expect((await report({ nothing: 1 }, { nothing: 2 })).errors.map(({ line }) => line)).toEqual([1, 2]);
  expect((await report('')).errors).toHaveLength(1);
});

test('a large file is read in a process of its own, with the same result', async () => {
  const file = join(dir, 'large.jsonl');
  await writeFile(file, `${JSON.stringify({ ...choice, query: 'q'.repeat(200) })}\n`.repeat(2_000));
  expect(await validateEvalsAside(file)).toMatchObject({ rows: 2_000, format: null, errors: [] });
});
