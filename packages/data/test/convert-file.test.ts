import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type ConvertOptions, convertFile } from '../src/convert/convert-file.js';
import { validateFile } from '../src/validate-file.js';
import { sharedData } from './shared-data.js';

const dir = mkdtempSync(join(tmpdir(), 'moraine-convert-'));
afterAll(() => rmSync(dir, { recursive: true }));
let count = 0;
const place = (extension: string): string => {
  count += 1;
  return join(dir, `${count}.${extension}`);
};

/** Converts a text; returns what was written and what was said. */
async function convert(
  content: string | Buffer,
  { extension = 'in', ...options }: ConvertOptions & { extension?: string } = {},
) {
  const [from, to] = [place(extension), place('out')];
  writeFileSync(from, content);
  const said = await convertFile(from, to, options);
  return { said, lines: readFileSync(to, 'utf8').trimEnd().split('\n') };
}

const NOTHING = { leftOut: {}, duplicates: { rows: 0, first: null }, skipped: { rows: 0, first: null } };
const alpaca = (instruction: unknown, input: unknown, output: unknown, rest = {}) => ({
  instruction,
  input,
  output,
  ...rest,
});
const lines = (...rows: unknown[]): string => rows.map((row) => JSON.stringify(row)).join('\n');
const contents = (line: string | undefined): unknown[] =>
  JSON.parse(line ?? '').messages.map((message: { content: unknown }) => message.content);

describe('a list', () => {
  test('of Alpaca rows becomes a row a line, and what became of its keys is said', async () => {
    const list = [alpaca('Add', '1 and 2', 3, { id: 7 }), alpaca('Say hi', '', 'hi')];
    const { said, lines } = await convert(JSON.stringify(list, null, 2));
    expect(said).toEqual({
      ...NOTHING,
      rows: 2,
      form: 'Alpaca',
      how: "'instruction' and 'input' are the user's message, 'output' is the assistant's",
      leftOut: { id: 1 },
    });
    expect(lines.map(contents)).toEqual([
      ['Add\n\n1 and 2', '3'],
      ['Say hi', 'hi'],
    ]);
  });

  test('of rows of ours keeps their texts, numbers and brackets, and names lines', async () => {
    const call =
      '{"id": "1", "type": "function", "function": {"name": "f", "arguments": {"n": 1170735493917552650, "s": "]}\\"["}}}';
    const first = `{"messages": [{"role": "user",\n "content": "[x], {y}\\\\"}, {"role": "assistant", "content": null, "tool_calls": [${call}]}]}`;
    const { lines } = await convert(
      `\ufeff [\r\n ${first} ,\n\n{"messages": [{"role": "assistant", "content": "a"}]}\n]\n`,
    );
    expect(lines).toEqual([first.replace('\n', ' '), '{"messages": [{"role": "assistant", "content": "a"}]}']);
    await expect(convert('[\n{"text": "a"},\n\n{"text": ""}]')).rejects.toThrow(/^Line 4: \/text: The text is empty/);
  });

  test.each([
    ['[{"text": "a"}', 'the list does not end'],
    ['[{"text": "a"}] {"text": "b"}', 'outside the list'],
    ['[{"text": "a"},, {"text": "b"}]', 'a comma has nothing before it'],
    ['[{"text": "a"} {"text": "b"}]', 'no JSON'],
    ['[]', 'holds no rows'],
  ])('%s is refused', async (list, why) => {
    await expect(convert(list)).rejects.toThrow(why);
  });

  test('of a hundred megabytes in one line is never whole in memory', async () => {
    const from = place('json');
    const item = JSON.stringify({ text: 'word '.repeat(2_000) });
    writeFileSync(from, `[${Array.from({ length: 10_000 }, () => item).join(',')}]`);
    const before = process.memoryUsage().rss;
    let most = 0;
    const timer = setInterval(() => {
      most = Math.max(most, process.memoryUsage().rss);
    }, 20);
    const { rows } = await convertFile(from, place('out'), { isUnique: true });
    clearInterval(timer);
    expect(rows).toBe(1);
    expect((most - before) / 1e6).toBeLessThan(90);
  });
});

describe('CSV', () => {
  const csv = (content: string, options: ConvertOptions = {}) => convert(content, { extension: 'csv', ...options });

  test('with quotes, doubled quotes, line breaks, CRLF and a byte order mark becomes rows', async () => {
    const { said, lines } = await csv('\ufeffprompt,completion\r\n"a, ""b""\r\nc",d\r\n\r\n"",e"f\r\nlast,"x"');
    expect(lines).toEqual([
      '{"prompt":"a, \\"b\\"\\r\\nc","completion":"d"}',
      '{"prompt":"","completion":"e\\"f"}',
      '{"prompt":"last","completion":"x"}',
    ]);
    expect(said).toEqual({ ...NOTHING, rows: 3, form: null, how: null });
  });

  test.each([
    ['semicolons', 'question;answer;id\na,1;b;7', ';'],
    ['tabs', 'question\tanswer\tid\na,1\tb\t7', '\t'],
  ])('with %s is read by what its header has most', async (_, content) => {
    const { said, lines } = await csv(content);
    expect(lines).toEqual(['{"prompt":"a,1","completion":"b"}']);
    expect(said).toMatchObject({ form: 'question and answer', leftOut: { id: 1 } });
  });

  test('may hold conversations as JSON', async () => {
    const cell = JSON.stringify([{ role: 'assistant', content: 'hi' }]).replaceAll('"', '""');
    expect((await csv(`id,messages\n1,"${cell}"`)).lines).toEqual([
      '{"messages":[{"role":"assistant","content":"hi"}]}',
    ]);
    await expect(csv(`messages\n"[{'role': 'user'}]"`)).rejects.toThrow("Line 2: the column 'messages' holds no JSON.");
  });

  test.each([
    ['prompt,completion\na,b\n"x\ny",b\na,b,c', /^Line 5: the row has 3 fields, the header 2/],
    ['prompt,completion\na,"b\nc', /^Line 2: a quotation mark is not closed/],
    ['text,text\na,b', /^Line 1: two columns are called 'text'/],
    ['name,city\na,b', /^Line 2: .*the keys name, city/],
    ['prompt,completion\n', /holds no rows/],
  ])('%j is refused', async (content, why) => {
    await expect(csv(content)).rejects.toThrow(why);
  });
});

test('a CSV keeps its lines with ends of every kind, and is given up where a row would be too long or is no UTF-8', async () => {
  const csv = (content: string | Buffer) => convert(content, { extension: 'csv' });
  const { lines } = await csv('prompt,completion\na,b\r\nc,d\re,f\n');
  expect(lines.map((line) => JSON.parse(line).prompt)).toEqual(['a', 'c', 'e']);
  await expect(csv(`text\na\n"${'x\n'.repeat(9 * 2 ** 20)}`)).rejects.toThrow('Line 3: the row is longer than 16 MiB');
  await expect(csv(Buffer.from([...Buffer.from('text\na\nb'), 0xff, 0xfe, 0x0a]))).rejects.toThrow('not UTF-8');
});

test('a text of a list that does not end is given up where a row would be too long', async () => {
  await expect(convert(`[{"text": "${'x'.repeat(17 * 2 ** 20)}`)).rejects.toThrow(
    'Line 1: the item is longer than 16 MiB',
  );
});

test('a conversation with tools keeps its calls, their results and the definitions', async () => {
  const row = {
    conversations: [
      { from: 'human', value: 'cook' },
      { from: 'function_call', value: '{"name": "find", "arguments": {"of": ["rice"]}}' },
      { from: 'observation', value: '{"found": 2}' },
      { from: 'gpt', value: 'two' },
    ],
    tools: '[{"name": "find", "parameters": {}}]',
  };
  const {
    said,
    lines: [line = ''],
  } = await convert(lines(row));
  expect(said).toMatchObject({ form: 'ShareGPT', leftOut: {} });
  expect(JSON.parse(line)).toEqual({
    messages: [
      { role: 'user', content: 'cook' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'find', arguments: '{"of":["rice"]}' } }],
      },
      { role: 'tool', content: '{"found": 2}', tool_call_id: 'call_1' },
      { role: 'assistant', content: 'two' },
    ],
    tools: [{ type: 'function', function: { name: 'find', parameters: {} } }],
  });
});

test('arguments of calls keep their numbers and the order of their keys', async () => {
  const written = '{"b":12345678901234567890,"10":1.0,"2":[1e3]}';
  const value = `[{"name": "f", "arguments": ${written}}]`;
  const row = {
    conversations: [
      { from: 'human', value: 'x' },
      { from: 'tool_call', value },
    ],
  };
  const [line = ''] = (await convert(lines(row))).lines;
  expect(JSON.parse(line).messages[1].tool_calls[0].function.arguments).toBe(written);
  const deep = `{"name": "f", "arguments": ${'['.repeat(300)}${']'.repeat(300)}}`;
  const refused = {
    conversations: [
      { from: 'human', value: 'x' },
      { from: 'tool_call', value: deep },
    ],
  };
  await expect(convert(lines(refused))).rejects.toMatchObject({ code: 'invalid_file' });
});

describe('numbers and the order of keys stay as they are written', () => {
  const schema = '{"z":1170735493917552650,"2":1.0,"1":1e-7}';
  test.each([
    ['of an answer', '{"instruction": "id?", "output": 1170735493917552650}', '"content":"1170735493917552650"'],
    ['of a pair', '{"question": 1.0, "answer": 1e400}', '{"prompt":"1.0","completion":"1e400"}'],
    [
      'of definitions',
      `{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "tools": [{"name": "f", "parameters": ${schema}}]}`,
      `"parameters":${schema}`,
    ],
    [
      'of definitions in a text',
      `{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}], "tools": ${JSON.stringify(`[{"name": "f", "parameters": ${schema}}]`)}}`,
      `"parameters":${schema}`,
    ],
    [
      'of a row of ours that has a key more',
      `{"id": 7, "messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "tools": [{"type": "function", "function": {"name": "f", "parameters": ${schema}}}]}`,
      `"parameters":${schema}`,
    ],
  ])('%s', async (_what, row, want) => {
    const { lines: written } = await convert(row);
    expect(written[0]).toContain(want);
  });

  test('and a key that stands twice is refused, not half of it dropped', async () => {
    await expect(convert('{"question": "a", "answer": "b", "answer": "c"}')).rejects.toThrow('stands twice');
  });
});

test('results of several calls belong to them in their order, and one without a call to none', async () => {
  const calls = '[{"name": "f", "arguments": {}}, {"name": "g", "arguments": {}}]';
  const row = {
    conversations: [
      { from: 'human', value: 'both' },
      { from: 'function_call', value: calls },
      { from: 'observation', value: 'of f' },
      { from: 'observation', value: 'of g' },
      { from: 'observation', value: 'of none' },
      { from: 'gpt', value: 'done' },
    ],
  };
  const [line = ''] = (await convert(lines(row))).lines;
  const messages: { tool_call_id?: string; tool_calls?: { id: string }[] }[] = JSON.parse(line).messages;
  expect(messages[1]?.tool_calls?.map(({ id }) => id)).toEqual(['call_1', 'call_1_1']);
  expect(messages.slice(2, 5).map(({ tool_call_id }) => tool_call_id)).toEqual(['call_1', 'call_1_1', undefined]);
});

test('rows of ours stay as they are written; keys that have no place are left out and named', async () => {
  const row = '{"text":   "a\\u0062"  }';
  expect((await convert(`${row}\n\n`)).lines).toEqual([row]);
  const { said, lines } = await convert('{"text": "a", "source": "b", "id": 1}\n{"text": "b", "id": 2}');
  expect([said.leftOut, lines]).toEqual([{ source: 1, id: 2 }, ['{"text":"a"}', '{"text":"b"}']]);
});

test('a row of ours that has a key too many keeps the digits of its numbers', async () => {
  const call = '{"type":"function","function":{"name":"f","arguments":{"n":1170735493917552650,"x":1.0}}}';
  const messages = `[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[${call}]}]`;
  const { lines } = await convert(`{"id": 1, "messages": ${messages}}`);
  expect(lines).toEqual([`{"messages":${messages}}`]);
});

test('rows that repeat an earlier one are counted, and left out where that is asked for', async () => {
  const text = lines(alpaca('a', '', 'b'), alpaca('a', null, 'b', { id: 1 }), alpaca('a', '', 'c'));
  const kept = await convert(text);
  expect([kept.said.rows, kept.said.duplicates]).toEqual([3, { rows: 1, first: { line: 2, of: 1 } }]);
  const unique = await convert(text, { isUnique: true });
  expect([unique.said.rows, unique.lines.map(contents)]).toEqual([
    2,
    [
      ['a', 'b'],
      ['a', 'c'],
    ],
  ]);
});

describe('a row that has no place', () => {
  test.each([
    [
      lines({ question: 'a', answer: 'b' }, { prompt: 'a', chosen: 'b', rejected: 'c' }),
      /^Line 2: rows of the form DPO/,
    ],
    [lines({ conversations: [{ from: 'martian', value: 'x' }] }), /^Line 1: a part of/],
    [lines(alpaca('a', '', { b: 1 })), /^Line 1: a part of/],
    [lines({ question: 'a', answer: '' }), /^Line 1: \/completion: The completion is empty/],
    [lines({ question: 'a', answer: 'b' }, { text: 'a' }), /^Line 2: This row is text/],
    ['{"question"', /^Line 1: no JSON/],
    ['{"text": "a", "text": "b"}', /^Line 1: \/text: The key "text" stands twice/],
    [`{"text": ${'['.repeat(300)}${']'.repeat(300)}}`, /^Line 1: .*nested deeper/],
    [Buffer.from([0x7b, 0x22, 0xff]), /not UTF-8/],
    [Buffer.from([0x50, 0x41, 0x52, 0x31, 0, 0]), /Line 1: the Parquet table cannot be read/],
  ])('%j is named by its line, and no half of a file is left', async (content, why) => {
    const to = place('out');
    const from = place('in');
    writeFileSync(from, content);
    await expect(convertFile(from, to)).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringMatching(why),
    });
    expect(existsSync(to)).toBe(false);
  });

  test('is left out and counted where that is asked for', async () => {
    const text = lines({ question: 'a', answer: 'b' }, { question: 'a', answer: '' }, { question: 7, answer: [] });
    const { said, lines: written } = await convert(text, { skipsBad: true });
    expect(said.skipped).toEqual({ rows: 2, first: expect.stringMatching(/^Line 2: \/completion/) });
    expect(written).toHaveLength(1);
    await expect(convert(lines({ question: 'a', answer: '' }), { skipsBad: true })).rejects.toThrow(
      /holds no rows to learn from. Line 1/,
    );
  });
});

describe("a row without a key of its file's form is named by form and key, not by what is left of it", () => {
  const whole = alpaca('a', '', 'o');
  const missing = (of: string): RegExp => new RegExp(`^Line 2: /\\S+: This is a row of the form ${of}\\.$`);
  test.each([
    ['null', [whole, alpaca(null, 'x', 'q')], missing("Alpaca without 'instruction'")],
    ['absent', [whole, { input: 'x', output: 'q' }], missing("Alpaca without 'instruction'")],
    ['an answer that is null', [whole, alpaca('a', 'x', null)], missing("Alpaca without 'output'")],
    ['a text beside', [whole, { ...alpaca('a', 'x', null), text: 't' }], missing("Alpaca without 'output'")],
    ['a text beside, absent', [whole, { instruction: 'a', text: 't' }], missing("Alpaca without 'output'")],
    [
      'both',
      [
        { instruction: 'a', response: 'b' },
        { instruction: null, context: 'c', response: null },
      ],
      missing("Dolly without 'instruction' and 'response'"),
    ],
    [
      'of a pair',
      [
        { question: 'a', answer: 'b' },
        { question: null, answer: 'b' },
      ],
      missing("question and answer without 'question'"),
    ],
    [
      'a conversation',
      [{ conversations: [{ from: 'gpt', value: 'b' }] }, { conversations: null }],
      missing("ShareGPT without 'conversations'"),
    ],
  ])('%s', async (_, rows, why) => {
    await expect(convert(lines(...rows))).rejects.toMatchObject({
      message: expect.stringMatching(why),
      param: 'line 2',
      hint: expect.stringContaining('--skip-bad'),
    });
    const { said } = await convert(lines(...rows), { skipsBad: true });
    expect(said.skipped).toEqual({ rows: 1, first: expect.stringContaining('Line 2: ') });
  });

  test('in the first row, too', async () => {
    await expect(convert(lines(alpaca(null, 'x', 'q'), whole))).rejects.toThrow("Alpaca without 'instruction'");
  });

  test.each([
    ['a row of ours', { prompt: 'a', completion: 'b', response: null }, { prompt: 'a', completion: 'b' }],
    ['a pair', { instruction: null, output: null, question: 'a', answer: 'b' }, { prompt: 'a', completion: 'b' }],
    ['a pair', { preferred_output: null, question: 'a', answer: 'b' }, { prompt: 'a', completion: 'b' }],
  ])('but keys of another form that nothing fills leave %s what it is: %j', async (_, row, want) => {
    const [line = ''] = (await convert(lines(row))).lines;
    expect(JSON.parse(line)).toEqual(want);
  });

  test.each([
    [
      'Dolly',
      { instruction: 'a', output: null, response: 'b' },
      {
        messages: [
          { role: 'user', content: 'a' },
          { role: 'assistant', content: 'b' },
        ],
      },
    ],
    ['a pair', { prompt: 'p', response: 'r', query: null }, { prompt: 'p', completion: 'r' }],
    ['a text', { text: 'hello', input: 'x', output: null }, { text: 'hello' }],
    ['a text', { text: 'hello', messages: null, prompt: null, completion: null }, { text: 'hello' }],
  ])('and the row is what is whole in it, %s, whatever form it has in part: %j', async (_, row, want) => {
    const [line = ''] = (await convert(lines(row))).lines;
    expect(JSON.parse(line)).toEqual(want);
  });

  test('and what is whole in no form is named by the first that it has in part', async () => {
    const row = { instruction: 'a', output: null, response: null, text: null };
    await expect(convert(lines(row))).rejects.toThrow("Alpaca without 'output'");
  });

  test('and a whole row of another form is still one of another', async () => {
    const rows = lines(whole, { question: 'a', answer: 'b' });
    await expect(convert(rows)).rejects.toThrow('This row is prompt_completion, the rows before it are chat');
    const other = lines({ input: 'a', output: 'b' }, whole);
    await expect(convert(other)).rejects.toThrow('This row is chat, the rows before it are prompt_completion');
  });
});

test('a file that is there is not written over', async () => {
  const file = place('jsonl');
  writeFileSync(file, '{"question":"a","answer":"b"}\n');
  await expect(convertFile(file, file)).rejects.toMatchObject({ code: 'conflict' });
  expect(readFileSync(file, 'utf8')).toContain('question');
});

const shared = sharedData();
describe.runIf(shared !== null)('real files', () => {
  test.each([
    ['alpaca/alpaca_small.json', 'Alpaca', 'chat'],
    ['codealpaca/code_alpaca_2k.json', 'Alpaca', 'chat'],
    ['llamafactory-demos/alpaca_en_demo.json', 'Alpaca', 'chat'],
    ['llamafactory-demos/glaive_toolcall_en_demo.json', 'ShareGPT', 'chat'],
    ['llm-adapters-math/math_data.json', 'Alpaca', 'chat'],
    ['gsm8k/train.jsonl', 'question and answer', 'prompt_completion'],
    ['dolly/dolly_hhrlhf_train_small.jsonl', 'question and answer', 'prompt_completion'],
  ])('%s becomes rows that an upload takes', async (file, form, format) => {
    const to = place('jsonl');
    const said = await convertFile(join(shared ?? '', 'datasets', file), to, { skipsBad: true });
    expect(said.form).toBe(form);
    expect(said.skipped.rows).toBeLessThan(said.rows / 100);
    expect(await validateFile(to)).toMatchObject({ rows: said.rows, format, errors: [] });
  });
});
