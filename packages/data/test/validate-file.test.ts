import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { describeProblem, readRows, validateFile } from '../src/validate-file.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'moraine-data-'));
});
afterAll(() => rm(folder, { recursive: true }));

async function fileOf(content: string | Buffer): Promise<string> {
  const file = join(folder, `${Math.random().toString(36).slice(2)}.jsonl`);
  await writeFile(file, content);
  return file;
}
const report = async (content: string | Buffer) => validateFile(await fileOf(content));
const firstError = async (content: string | Buffer) => {
  const error = (await report(content)).errors[0];
  if (!error) throw new Error('the file was accepted');
  return error;
};
const chat = (...messages: unknown[]): string => JSON.stringify({ messages });
const user = { role: 'user', content: 'Hi' };
const assistant = { role: 'assistant', content: 'Hello' };

describe('a good file', () => {
  test('of prompt/completion rows is counted', async () => {
    const found = await report('{"prompt":"ab","completion":"c"}\n{"prompt":"","completion":"defg"}\n');
    expect(found).toEqual({
      rows: 2,
      format: 'prompt_completion',
      errors: [],
      isPartial: false,
      stats: { rows: 2, characters: 7, longestRowCharacters: 4 },
    });
  });

  test('may have a byte order mark, CRLF, blank lines and no last line end', async () => {
    const found = await report('\uFEFF{"text":"a"}\r\n\r\n  \n{"text":"b"}');
    expect(found.errors).toEqual([]);
    expect(found.rows).toBe(2);
  });

  test('may hold every role, tools, weights and an assistant message that only calls a tool', async () => {
    const call = {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: '{}' } }],
    };
    const messages = [
      { role: 'developer', content: 'Be short' },
      user,
      call,
      { role: 'tool', tool_call_id: '1', content: '3' },
      { ...assistant, weight: 1 },
    ];
    const found = await report(
      `${JSON.stringify({ messages, tools: [{ type: 'function' }], parallel_tool_calls: false })}\n`,
    );
    expect(found.errors).toEqual([]);
    expect(found.format).toBe('chat');
  });

  test('keeps characters that some readers take for line ends', async () => {
    const file = await fileOf('{"text":"a\u2028b\u0085c"}\n');
    for await (const { row } of readRows(file)) expect(row).toEqual({ format: 'text', text: 'a\u2028b\u0085c' });
  });

  test('is read across chunk borders', async () => {
    const rows = Array.from({ length: 4000 }, (_, i) => JSON.stringify({ text: `${i} ${'é'.repeat(i % 97)}` }));
    const found = await report(`${rows.join('\n')}\n`);
    expect(found).toMatchObject({ rows: 4000, errors: [] });
  });
});

describe('a bad line is named with its key, value and fix', () => {
  const cases: [name: string, content: string | Buffer, want: object][] = [
    ['broken JSON', '{"text":"a"}\n{"text":\n', { line: 2, key: '', code: 'invalid_json' }],
    ['a JSON list', '[{"text":"a"}]', { line: 1, code: 'not_an_object' }],
    [
      'a JSON list over several lines',
      '[\n{"text":"a"}\n]',
      { line: 1, code: 'invalid_json', hint: expect.stringContaining('without brackets') },
    ],
    [
      'bytes that are not UTF-8',
      Buffer.from([...Buffer.from('{"text":"'), 0xe9, ...Buffer.from('"}\n')]),
      { line: 1, code: 'invalid_encoding' },
    ],
    [
      'UTF-16',
      Buffer.from('\uFEFF{"text":"a"}\n', 'utf16le'),
      { line: 1, code: 'invalid_encoding', message: expect.stringContaining('UTF-16') },
    ],
    ['mixed formats', '{"text":"a"}\n{"prompt":"a","completion":"b"}\n', { line: 2, code: 'mixed_formats' }],
    [
      'a misspelt key',
      '{"prompt":"a","completions":"b"}',
      { line: 1, key: '/completions', code: 'unknown_key', hint: expect.stringContaining("'completion'") },
    ],
    [
      'a misspelt format',
      '{"mesages":[]}',
      { key: '/mesages', code: 'unknown_format', hint: "Did you mean 'messages'?" },
    ],
    [
      'keys of another format',
      '{"instruction":"a","output":"b"}',
      { code: 'unknown_format', message: expect.stringContaining('instruction, output') },
    ],
    ['a missing completion', '{"prompt":"a"}', { key: '/completion', code: 'missing_key' }],
    [
      'a prompt that is a number',
      '{"prompt":7,"completion":"b"}',
      { key: '/prompt', code: 'wrong_type', message: expect.stringContaining('7') },
    ],
    ['an empty completion', '{"prompt":"a","completion":""}', { key: '/completion', code: 'empty_value' }],
    [
      'an unknown role',
      chat({ role: 'asistant', content: 'x' }),
      { key: '/messages/0/role', code: 'invalid_value', hint: "Did you mean 'assistant'?" },
    ],
    ['a conversation without an answer', chat(user), { key: '/messages', code: 'no_answer' }],
    ['answers that all weigh 0', chat(user, { ...assistant, weight: 0 }), { key: '/messages', code: 'no_answer' }],
    [
      'a weight of a half',
      chat(user, { ...assistant, weight: 0.5 }),
      { key: '/messages/1/weight', code: 'invalid_value' },
    ],
    [
      'a weight on a user message',
      chat({ ...user, weight: 1 }, assistant),
      { key: '/messages/0/weight', code: 'invalid_value' },
    ],
    [
      'calls that are no list',
      chat(user, { ...assistant, tool_calls: 'f()' }),
      { key: '/messages/1/tool_calls', code: 'wrong_type', message: expect.stringContaining('f()') },
    ],
    ['a name that is a number', chat({ ...user, name: 7 }, assistant), { key: '/messages/0/name', code: 'wrong_type' }],
    [
      'content in parts',
      chat({ role: 'user', content: [{ type: 'text', text: 'x' }] }, assistant),
      { key: '/messages/0/content', code: 'wrong_type' },
    ],
    [
      'an unknown message key',
      chat({ ...user, from: 'x' }, assistant),
      { key: '/messages/0/from', code: 'unknown_key' },
    ],
    ['a file without rows', '\n\n', { line: 1, code: 'empty_file' }],
  ];
  test.each(cases)('%s', async (_name, content, want) => {
    const error = await firstError(content);
    expect(error).toMatchObject(want);
    expect(error.hint).not.toBe('');
    expect(describeProblem(error)).toContain(`Line ${error.line}`);
  });
});

test('validation stops at twenty problems and says that it did', async () => {
  const found = await report(`${'{"text":1}\n'.repeat(50)}`);
  expect(found.errors).toHaveLength(20);
  expect(found.isPartial).toBe(true);
  expect(found.errors.at(-1)?.line).toBe(20);
});

test('reading rows of a bad file throws with the line and the key', async () => {
  const file = await fileOf('{"text":"a"}\n{"txt":"b"}\n');
  const read = async () => {
    for await (const _ of readRows(file));
  };
  await expect(read()).rejects.toMatchObject({ code: 'invalid_file', param: 'line 2/txt' });
});
