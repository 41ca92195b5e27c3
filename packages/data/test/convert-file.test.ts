import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { convertFile } from '../src/convert-file.js';

const dir = mkdtempSync(join(tmpdir(), 'moraine-convert-'));
afterAll(() => rmSync(dir, { recursive: true }));
let count = 0;
/** Converts a text; returns what was written and what was said. */
async function convert(content: string) {
  count += 1;
  const [from, to] = [join(dir, `${count}.in`), join(dir, `${count}.out`)];
  writeFileSync(from, content);
  const said = await convertFile(from, to);
  return { said, lines: readFileSync(to, 'utf8').trimEnd().split('\n') };
}

test('a list of Alpaca rows becomes a row a line', async () => {
  const list = [
    { instruction: 'Add', input: '1 and 2', output: '3' },
    { instruction: 'Say hi', input: '', output: 'hi' },
  ];
  const { said, lines } = await convert(JSON.stringify(list, null, 2));
  expect(said).toEqual({ rows: 2, form: 'Alpaca' });
  expect(lines.map((line) => (JSON.parse(line) as { messages: { content: string }[] }).messages[0]?.content)).toEqual([
    'Add\n\n1 and 2',
    'Say hi',
  ]);
});

test('rows of ours stay as they are written', async () => {
  const row = '{"text": "a",  "text2": 1170735493917552650}';
  expect(await convert(`${row}\n\n`)).toEqual({ said: { rows: 1, form: null }, lines: [row] });
});

test('a row that has no place is named by its line', async () => {
  await expect(
    convert('{"question":"a","answer":"b"}\n{"prompt":"a","chosen":"b","rejected":"c"}'),
  ).rejects.toMatchObject({
    code: 'invalid_file',
    message: expect.stringMatching(/^Line 2: rows of the form DPO/),
  });
  await expect(convert('{"conversations":[{"from":"martian","value":"x"}]}')).rejects.toThrow('Line 1: a part of');
  await expect(convert('{"question"')).rejects.toThrow('Line 1: no JSON');
});

test('a file that is there is not written over', async () => {
  const file = join(dir, 'there.jsonl');
  writeFileSync(file, '{"question":"a","answer":"b"}\n');
  await expect(convertFile(file, file)).rejects.toMatchObject({ code: 'conflict' });
});
