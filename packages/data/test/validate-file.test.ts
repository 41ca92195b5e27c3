import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { toValue } from '../src/chat-template.js';
import { toJson } from '../src/jinja/values.js';
import type { Row } from '../src/row.js';
import { isBroken } from '../src/row-problem.js';
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
/** A row whose answer makes these calls, as JSON; `CALL` is the place of the first. */
const rowOf = (...calls: string[]): string =>
  `{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":null,"tool_calls":[${calls.join()}]}]}`;
const calling = (...calls: unknown[]): string => rowOf(...calls.map((call) => JSON.stringify(call)));
/** A text in a wide encoding, without a byte order mark. */
function wide(text: string, form: 'utf-16le' | 'utf-16be' | 'utf-32le' | 'utf-32be'): Buffer {
  if (form.startsWith('utf-16'))
    return form.endsWith('le') ? Buffer.from(text, 'utf16le') : Buffer.from(text, 'utf16le').swap16();
  const bytes = Buffer.from(Uint32Array.from(text, (letter) => letter.codePointAt(0) ?? 0).buffer);
  return form.endsWith('le') ? bytes : bytes.swap32();
}
const CALL = '/messages/1/tool_calls/0';

describe('a good file', () => {
  test('of prompt/completion rows is counted', async () => {
    const found = await report('{"prompt":"ab","completion":"c"}\n{"prompt":"","completion":"defg"}\n');
    expect(found).toEqual({
      rows: 2,
      format: 'prompt_completion',
      errors: [],
      duplicates: { rows: 0, first: null },
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
      `${JSON.stringify({ messages, tools: [{ type: 'function', function: { name: 'f' } }], parallel_tool_calls: false })}\n`,
    );
    expect(found.errors).toEqual([]);
    expect(found.format).toBe('chat');
  });

  test('may hold what APIs export beside an answer where it says nothing, and reasoning', async () => {
    const exported = { ...assistant, refusal: null, annotations: [], audio: null, reasoning_content: 'hm' };
    const found = await report(`${JSON.stringify({ messages: [user, exported], tools: null })}\n`);
    expect(found.errors).toEqual([]);
  });

  test('may hold NUL as JSON escapes it', async () => {
    const file = await fileOf('{"prompt":"a \\u0000","completion":"b"}\n');
    for await (const { row } of readRows(file)) expect(row).toMatchObject({ prompt: 'a \0', completion: 'b' });
  });

  test('keeps calls and tools as they are written', async () => {
    const row =
      '{"messages":[{"role":"user","content":"x"},{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"b":1.0,"2":9007199254740993,"1":2}}}]}],"tools":[{"name":"f","z":1.50,"0":1}]}';
    const rows: Row[] = [];
    for await (const read of readRows(await fileOf(row))) rows.push(read.row);
    const [first] = rows;
    if (first?.format !== 'chat') throw new Error('no conversation');
    const written = [...(first.messages[1]?.tool_calls ?? []), ...(first.tools ?? [])].map((value) =>
      toJson(toValue(value)),
    );
    expect(written).toEqual([
      '{"function": {"name": "f", "arguments": {"b": 1.0, "2": 9007199254740993, "1": 2}}}',
      '{"name": "f", "z": 1.50, "0": 1}',
    ]);
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

type Case = [name: string, content: string | Buffer, want: object];

describe('a bad line is named with its key, value and fix', () => {
  const cases: Case[] = [
    ['broken JSON', '{"text":"a"}\n{"text":\n', { line: 2, key: '', code: 'invalid_json' }],
    [
      'a JSON list',
      '[{"text":"a"}]',
      { line: 1, code: 'not_an_object', hint: expect.stringContaining('moraine local convert') },
    ],
    [
      'a JSON list over several lines',
      '[\n{"text":"a"}\n]',
      { line: 1, code: 'invalid_json', hint: expect.stringContaining('moraine local convert') },
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
    [
      'UTF-16 without a byte order mark',
      Buffer.from('{"text":"a"}\n{"text":"b"}\n', 'utf16le'),
      { line: 1, message: 'The file is UTF-16 (little endian).', hint: expect.stringContaining('-f UTF-16LE') },
    ],
    [
      'UTF-16 of the other order',
      Buffer.from('{"text":"a"}\n', 'utf16le').swap16(),
      { line: 1, message: 'The file is UTF-16 (big endian).' },
    ],
    ...(['utf-16le', 'utf-16be', 'utf-32le', 'utf-32be'] as const).flatMap((form) =>
      ['{"text":"漢字', ' \r\n{"text":"漢字', '\n["漢字', '{"text":"plain'].map((start): Case => {
        const bytes = wide(start + start.slice(-2).repeat(2_000), form);
        const message = `The file is ${form.slice(0, 6).toUpperCase()} (${form.endsWith('le') ? 'little' : 'big'} endian).`;
        const hint = expect.stringContaining(`-f ${form.toUpperCase()} `);
        return [
          `${form} that begins ${JSON.stringify(start)}`,
          bytes,
          { line: 1, code: 'invalid_encoding', message, hint },
        ];
      }),
    ),
    ...([1, 2, 3, 4, 61, 62, 63, 64] as const).map(
      (count): Case => [
        `${count} NUL bytes before good rows`,
        `${'\0'.repeat(count)}{"text":"a"}\n{"text":"b"}\n`,
        { line: 1, message: expect.stringContaining(`holds ${count} NUL byte`) },
      ],
    ),
    [
      'NUL bytes behind the first letter',
      `{${'\0'.repeat(8_191)}\n{"text":"a"}\n`,
      { line: 1, message: 'The line holds 8191 NUL bytes.' },
    ],
    [
      'a compressed file',
      gzipSync('{"text":"a"}\n'),
      { line: 1, message: 'The file is gzip-compressed.', hint: expect.stringContaining('Decompress') },
    ],
    ['a table', Buffer.from('PAR1\u0015\u0004'), { line: 1, message: 'The file is a Parquet table.' }],
    [
      'NUL bytes behind good rows',
      `{"text":"a"}\n${'\0'.repeat(64)}`,
      { line: 2, code: 'invalid_encoding', message: 'The line holds 64 NUL bytes.' },
    ],
    [
      'a key that stands twice',
      '{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a","content":"b"}]}',
      { line: 1, key: '/messages/1/content', code: 'repeated_key', message: expect.stringContaining('"content"') },
    ],
    [
      'half an emoji in a text',
      '{"text":"a \\ud83d b"}',
      { line: 1, key: '/text', code: 'invalid_value', hint: expect.stringContaining('emoji') },
    ],
    [
      'half an emoji in a key of a definition',
      '{"messages":[{"role":"assistant","content":"a"}],"tools":[{"name":"f","x\\ud83d":1}]}',
      { key: '/tools/0/x\ufffd', code: 'invalid_value', message: expect.stringContaining('The key "x') },
    ],
    [
      'half an emoji in a key of arguments',
      rowOf('{"function":{"name":"f","arguments":{"a\\ude00":1}}}'),
      { key: `${CALL}/function/arguments/a\ufffd`, code: 'invalid_value', message: expect.stringContaining('The key') },
    ],
    ...(['{"a":"\\ud83d"}', '{"of":[{"\\ude00":1}]}'] as const).map((given): Case => {
      const want = { line: 1, code: 'invalid_value', key: expect.stringContaining(`${CALL}/function/arguments/`) };
      return [
        `half an emoji that the text ${given} escapes`,
        calling({ function: { name: 'f', arguments: given } }),
        want,
      ];
    }),
    [
      'a value nested without end',
      `{"messages":${'['.repeat(300)}${']'.repeat(300)}}`,
      { line: 1, code: 'invalid_value', message: expect.stringContaining('nested deeper') },
    ],
    [
      'an image among the content',
      chat(
        {
          role: 'user',
          content: [
            { type: 'text', text: 'what?' },
            { type: 'image_url', image_url: {} },
          ],
        },
        assistant,
      ),
      { key: '/messages/0/content/1', message: 'Images are not supported.' },
    ],
    [
      'a call in the older form',
      chat(user, { ...assistant, content: null, function_call: { name: 'f', arguments: '{}' } }),
      { key: '/messages/1/function_call', code: 'unknown_key', hint: expect.stringContaining('"tool_calls"') },
    ],
    [
      'null in place of an answer',
      chat(user, { ...assistant, content: null }),
      { key: '/messages/1/content', code: 'wrong_type', hint: expect.stringContaining('or the tool_calls') },
    ],
    [
      'a refusal that says something',
      chat(user, { ...assistant, refusal: 'No.' }),
      { key: '/messages/1/refusal', code: 'unknown_key' },
    ],
    [
      'reasoning of a user',
      chat({ ...user, reasoning_content: 'hm' }, assistant),
      { key: '/messages/0/reasoning_content', code: 'invalid_value' },
    ],
    [
      'rows of ShareGPT',
      '{"conversations":[{"from":"human","value":"hi"},{"from":"gpt","value":"hello"}]}',
      {
        code: 'unknown_format',
        message: expect.stringContaining('ShareGPT'),
        hint: expect.stringContaining('local convert'),
      },
    ],
    [
      'rows of Alpaca',
      '{"instruction":"Add","input":"2 and 2","output":"4"}',
      { message: expect.stringContaining('Alpaca'), hint: expect.stringContaining('local convert') },
    ],
    [
      'ranked answers',
      '{"prompt":"a","chosen":"b","rejected":"c"}',
      {
        code: 'unknown_format',
        message: expect.stringContaining('DPO'),
        hint: expect.stringContaining('ranked'),
      },
    ],
    [
      'ranked answers as the OpenAI API takes them',
      '{"input":{"messages":[]},"preferred_output":[],"non_preferred_output":[]}',
      { message: expect.stringContaining('DPO') },
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
      '{"in":"a","out":"b"}',
      { code: 'unknown_format', message: expect.stringContaining('in, out') },
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
      { key: '/messages/1/weight', code: 'invalid_value', hint: expect.stringContaining('0 (not learned) or 1') },
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

describe('a call', () => {
  const made = (given: object) => ({ id: 'c', type: 'function', function: { name: 'f', ...given } });
  const callsOf = async (...calls: unknown[]): Promise<string> => {
    for await (const { row } of readRows(await fileOf(calling(...calls))))
      if (row.format === 'chat') return toJson(toValue(row.messages[1]?.tool_calls));
    throw new Error('no conversation');
  };

  test.each<[what: string, call: unknown, key: string, code: string, says: string]>([
    ['that is a text', 'x', '', 'wrong_type', '"x"'],
    ['of nothing', { id: 'x' }, '/function', 'missing_key', 'name'],
    ['whose function is a text', { function: 'f' }, '/function', 'wrong_type', '"f"'],
    ['without a name', { function: { arguments: '{}' } }, '/function/name', 'missing_key', 'missing'],
    ['whose name is a number', { function: { name: 5 } }, '/function/name', 'wrong_type', '5'],
    ['whose name is empty', { function: { name: ' ' } }, '/function/name', 'empty_value', 'empty'],
    ['whose name is empty and beside nothing', { name: '', arguments: {} }, '/name', 'empty_value', 'empty'],
    ['whose id is a number', { ...made({}), id: 7 }, '/id', 'wrong_type', '7'],
    ['whose type is a number', { ...made({}), type: 7 }, '/type', 'invalid_value', '7'],
    ['with a number for arguments', made({ arguments: 5 }), '/function/arguments', 'wrong_type', '5'],
    ['with a list for arguments', made({ arguments: [1] }), '/function/arguments', 'wrong_type', '[1]'],
    [
      'with arguments that are no JSON',
      made({ arguments: '{not json' }),
      '/function/arguments',
      'invalid_json',
      '{not',
    ],
    ['with a list as a text', made({ arguments: '[1]' }), '/function/arguments', 'invalid_value', 'no object'],
    ['with a number as a text', made({ arguments: '5' }), '/function/arguments', 'invalid_value', 'no object'],
    ['with JSON in JSON', made({ arguments: '"{}"' }), '/function/arguments', 'invalid_value', 'no object'],
    ['with a key twice', made({ arguments: '{"a":1,"a":2}' }), '/function/arguments/a', 'repeated_key', '"a"'],
    [
      'with arguments nested without end',
      made({ arguments: `{"a":${'['.repeat(300)}${']'.repeat(300)}}` }),
      '/function/arguments',
      'invalid_value',
      'nested deeper',
    ],
    [
      'with very many arguments',
      made({ arguments: `{"a":[${'1,'.repeat(2 ** 18)}1]}` }),
      '/function/arguments',
      'invalid_value',
      'more than',
    ],
    ['with parameters', made({ parameters: { a: 1 } }), '/function/arguments', 'missing_key', "'parameters'"],
    ['with arguments elsewhere', { ...made({}), arguments: {} }, '/function/arguments', 'missing_key', 'beside'],
  ])('%s is named', async (_what, call, key, code, says) => {
    const { message, hint, ...error } = await firstError(calling(call));
    expect(error).toMatchObject({ line: 1, key: `${CALL}${key}`, code });
    expect(`${message} ${hint}`).toContain(says);
  });

  test('is named by its place among the others', async () => {
    const error = await firstError(
      calling(made({ arguments: {} }), made({ arguments: '' }), made({ arguments: 'no' })),
    );
    expect(error.key).toBe('/messages/1/tool_calls/2/function/arguments');
  });

  test('of a user is named', async () => {
    const error = await firstError(chat({ ...user, tool_calls: [made({})] }, assistant));
    expect(error).toMatchObject({ key: '/messages/0/tool_calls', code: 'invalid_value' });
  });

  test.each<[object]>([[{}], ...[null, '', 'null', [], '[]', ' [ ] '].map((none): [object] => [{ arguments: none }])])(
    'with %j has no arguments',
    async (given) => {
      const written = '"name": "f", "arguments": "{}"}';
      expect(await callsOf(made(given))).toBe(`[{"id": "c", "type": "function", "function": {${written}}]`);
      expect(await callsOf({ name: 'f', ...given, function: null })).toMatch(/^\[\{"name": "f".*"arguments": "\{\}"/);
    },
  );

  test('may have keys of others of its column, which are null', async () => {
    for (const nulls of [{ parsed_arguments: null }, { description: null }, { output: null, arguments: [] }]) {
      const want = { arguments: null, ...nulls };
      const written = toJson(toValue({ name: 'f', ...want, arguments: '{}' }));
      expect(await callsOf({ function: { name: 'f', ...want }, arguments: [] })).toContain(`"function": ${written}`);
      expect(await callsOf({ name: 'f', ...want })).toBe(`[${written}]`);
    }
  });

  test.each(['', 'tool_call'])('whose type is %j is one of a function, and written so', async (type) => {
    const call = made({ arguments: '{"a": 1.0}' });
    expect(await callsOf({ ...call, type })).toBe(toJson(toValue([call])));
    expect(await callsOf({ ...made({}), type })).toBe(toJson(toValue([made({ arguments: '{}' })])));
  });

  test.each([
    ['as OpenAI has it', made({ arguments: '{"a": 1.0}' })],
    ['with an object', made({ arguments: { a: 'b' } })],
    ['without its frame', { name: 'f', arguments: { a: 'b' } }],
    ['as it comes out of a stream', { index: 0, ...made({ arguments: ' {"a":"\\ud83d\\ude00"} ' }) }],
  ])('%s stays as it is', async (_what, call) => {
    expect(await callsOf(call)).toBe(toJson(toValue([call])));
  });
});

test.each<[what: string, tool: unknown, key: string, code: string]>([
  ['that is a text', 'f', '', 'wrong_type'],
  ['of nothing', { type: 'function' }, '/function', 'missing_key'],
  ['without a name', { type: 'function', function: { description: 'x' } }, '/function/name', 'missing_key'],
  ['whose type is a number', { type: 7, function: { name: 'f' } }, '/type', 'invalid_value'],
  ['whose parameters are a text', { name: 'f', parameters: '{"a": 1}' }, '/parameters', 'wrong_type'],
  ['whose parameters are a list', { name: 'f', parameters: [1] }, '/parameters', 'wrong_type'],
])('the definition of a tool %s is named', async (_what, tool, key, code) => {
  const good = { type: 'function', function: { name: 'f', parameters: {} } };
  const error = await firstError(JSON.stringify({ messages: [user, assistant], tools: [good, tool] }));
  expect(error).toMatchObject({ key: `/tools/1${key}`, code });
});

test.each([[[]], [''], ['[]'], ['{}'], [' { } ']])('parameters of a tool that are %j are none', async (parameters) => {
  const tools = [
    { type: 'tool', function: { name: 'f', parameters, strict: true } },
    { name: 'f', parameters },
  ];
  const want = [
    { type: 'function', function: { name: 'f', parameters: {}, strict: true } },
    { name: 'f', parameters: {} },
  ];
  const read = await rowTools(JSON.stringify({ messages: [user, assistant], tools }));
  expect(toJson(toValue(read))).toBe(toJson(toValue(want)));
});

const rowTools = async (content: string): Promise<unknown> => {
  for await (const { row } of readRows(await fileOf(content))) if (row.format === 'chat') return row.tools;
  throw new Error('no conversation');
};

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

describe('what a verdict shows of a value', () => {
  const shown = async (content: string) => {
    const error = await firstError(content);
    return `${error.key} ${error.message} ${error.hint}`;
  };
  const isStorable = (text: string): boolean => !isBroken(text) && !text.includes('\0');

  test('is never cut in the middle of an emoji, wherever the cut falls', async () => {
    for (let length = 45; length < 62; length += 1) {
      const note = `${'x'.repeat(length)}😀 tail`;
      expect(isStorable(await shown(`{"prompt":"a","completion":"b","note":"${note}"}`))).toBe(true);
      expect(isStorable(await shown(`{"text":"a","${note}":1}`))).toBe(true);
    }
  });

  test('is no half of one where it stands outside a text', async () => {
    expect(isStorable(await shown('{"prompt": 😀, "completion": "x"}'))).toBe(true);
    expect(isStorable(await shown(`{"${'y'.repeat(199)}😀": 1, "${'y'.repeat(199)}😀": 2}`))).toBe(true);
  });
});
