import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type PlainCheck, readQuestions } from '../src/index.js';

const dir = mkdtempSync(join(tmpdir(), 'moraine-questions-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function written(...rows: object[]): string {
  const file = join(dir, `${rows.length}-${JSON.stringify(rows).length}.jsonl`);
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join('\n'));
  return file;
}
const read = (rows: object[], suite = 'file', check: PlainCheck = { type: 'answer' }) =>
  readQuestions({ file: written(...rows), suite, check });

test('a conversation is asked up to its last answer that is learned, with its tools, and that answer is expected', async () => {
  const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{"a": 1.0}' } };
  const tools = [{ type: 'function', function: { name: 'f', parameters: { type: 'object', properties: {} } } }];
  const messages = [
    { role: 'system', content: 'Be brief.' },
    { role: 'user', content: 'One?' },
    { role: 'assistant', tool_calls: [call] },
    { role: 'tool', content: '1', tool_call_id: 'c' },
    { role: 'assistant', content: 'Two.' },
    { role: 'user', content: 'Sure?' },
  ];
  const [question] = await read([{ messages: [...messages.slice(0, 5)], tools }]);
  expect(question).toMatchObject({ id: '1', expected: 'Two.', ask: { tools } });
  expect(JSON.parse(JSON.stringify(question?.ask))).toEqual({ messages: messages.slice(0, 4), tools });
  expect(question?.question).toBe('system: Be brief.\nuser: One?\nassistant: \ntool: 1');
  expect(await Promise.all(['two', 'Two.', 'three'].map((answer) => question?.isRight(answer)))).toEqual([
    true,
    true,
    false,
  ]);
  const later = { role: 'assistant', content: 'Yes.', weight: 0 };
  const [kept] = await read([{ messages: [...messages, later] }]);
  expect(kept?.expected).toBe('Two.');
});

test('an answer that calls tools has no text to compare with', async () => {
  const call = { id: 'c', type: 'function', function: { name: 'f', arguments: '{}' } };
  const [question] = await read([
    {
      messages: [
        { role: 'user', content: 'One?' },
        { role: 'assistant', tool_calls: [call] },
      ],
    },
  ]);
  expect(question?.expected).toBeNull();
});

test.each([
  [{ type: 'string', operation: 'eq' }, [true, false, false]],
  [{ type: 'string', operation: 'ilike' }, [true, true, false]],
  [{ type: 'string', operation: 'ne' }, [false, true, true]],
  [{ type: 'pattern', pattern: '^y', flags: '' }, [true, false, false]],
] satisfies [PlainCheck, boolean[]][])('rows of prompt and completion are judged by %j', async (check, verdicts) => {
  const [question] = await read([{ prompt: 'Is it?', completion: 'yes' }], 'file', check);
  expect(question?.ask).toEqual({ messages: [{ role: 'user', content: 'Is it?' }], tools: [] });
  expect(await Promise.all(['yes', 'Oh YES', 'no'].map((answer) => question?.isRight(answer)))).toEqual(verdicts);
});

test('rows of a suite are asked and judged as the suite says, without examples before them', async () => {
  const [own, other] = await read(
    [
      { id: 'a', prompt: 'Which?', reference: 'Oslo', operation: 'like' },
      { prompt: 'And?', reference: 'Rome' },
    ],
    'string_check',
  );
  expect([own?.id, other?.id, await own?.isRight('It is Oslo.'), await other?.isRight('It is Rome.')]).toEqual([
    'a',
    '2',
    true,
    false,
  ]);
  const [first] = await read([{ question: '1+1?', answer: 'It is #### 2' }], 'gsm8k');
  expect(first?.ask).toMatchObject({ prompt: 'Question: 1+1?\nAnswer:', stops: expect.arrayContaining(['Question:']) });
  expect(await first?.isRight('so #### 2')).toBe(true);
});

test.each([
  [[{ text: 'a' }], 'file', 'a row of text asks nothing'],
  [[{ query: 'a', choices: ['b', 'c'], gold: 0 }], 'choices', "'choices' are not answered by a text"],
  [[{ prompt: 'a' }], 'string_check', 'Line 1'],
])('%j of %s are refused', async (rows, suite, message) => {
  await expect(read(rows, suite)).rejects.toThrow(message);
});
