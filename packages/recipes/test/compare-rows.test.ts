import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { compareRows } from '../src/index.js';

const dir = mkdtempSync(join(tmpdir(), 'moraine-compare-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const file = join(dir, 'rows.jsonl');
const row = (prompt: string, completion: string) => ({ prompt, completion });
writeFileSync(
  file,
  [row('a?', 'A'), row('b?', 'B'), row('c?', 'C'), row('d?', 'D')].map((one) => JSON.stringify(one)).join('\n'),
);
const saved = (answers: Record<number, string>): string =>
  Object.entries(answers)
    .map(([number, content]) => ({
      custom_id: `request-${number}`,
      response: { status_code: 200, body: { choices: [{ message: { content } }] } },
    }))
    .map((one) => JSON.stringify(one))
    .join('\n');

test('rows that both answered are judged; ours is asked those alone, and what it refuses is wrong', async () => {
  let asked: string[] = [];
  const { compared, rows, by, notes } = await compareRows({
    file,
    suite: 'file',
    check: { type: 'answer' },
    saved: saved({ 1: 'a', 2: 'no', 4: 'D' }),
    ask: async (questions) => {
      asked = questions.map(({ question }) => question);
      return [
        { text: 'A', problem: null },
        { text: 'b', problem: null },
        { text: 'D', problem: 'Row 4: it was refused.' },
      ];
    },
  });
  expect(asked).toEqual(['user: a?', 'user: b?', 'user: d?']);
  expect(rows.map(({ id, isOursRight, isTheirsRight }) => [id, isOursRight, isTheirsRight])).toEqual([
    ['1', true, true],
    ['2', true, false],
    ['4', false, true],
  ]);
  expect([compared.n, compared.verdicts.both, by]).toEqual([3, 1, 'id']);
  expect(notes).toEqual([
    'Rows left out: 1, to which the old model has no saved answer.',
    'Rows that count as wrong since ours refused them: 1. Row 4: it was refused.',
    'Saved answers were found by the id of their row.',
  ]);
});

test('a limit takes the first rows; where none of them was answered it is refused', async () => {
  const options = { file, suite: 'file', check: { type: 'answer' } as const, limit: 2 };
  const ask = async (questions: readonly unknown[]) => questions.map(() => ({ text: 'A', problem: null }));
  expect((await compareRows({ ...options, saved: saved({ 1: 'a', 3: 'c', 4: 'd' }), ask })).compared.n).toBe(1);
  await expect(compareRows({ ...options, saved: saved({ 1: 'a' }).replace('-1', '-4'), ask })).rejects.toThrow(
    'no row with an answer of both',
  );
});
