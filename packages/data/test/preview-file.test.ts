import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { compileTemplate } from '../src/chat-template.js';
import { findDuplicates } from '../src/duplicates.js';
import { encodeFile } from '../src/encode-file.js';
import { measureLengths } from '../src/lengths.js';
import { type PreviewOptions, type PreviewRow, previewFile } from '../src/preview-file.js';
import { loadTokenizer, type TextTokenizer } from '../src/tokenizer.js';
import { validateFile } from '../src/validate-file.js';

let tokenizer: TextTokenizer;
let dir: string;
beforeAll(async () => {
  tokenizer = await loadTokenizer(join(import.meta.dirname, '../../../examples/base'));
  dir = await mkdtemp(join(tmpdir(), 'moraine-preview-'));
});

let files = 0;
async function write(...rows: (object | string)[]): Promise<string> {
  const path = join(dir, `${files++}.jsonl`);
  await writeFile(path, rows.map((row) => (typeof row === 'string' ? row : JSON.stringify(row))).join('\n'));
  return path;
}

const look = (path: string, options: Partial<PreviewOptions> = {}) =>
  previewFile(path, tokenizer, { after: 0, lines: 5, tokensMax: 1_000, msMax: 60_000, maxSeqLen: 64, ...options });

const ask = (content: string) => ({ role: 'user', content });
const say = (content: string) => ({ role: 'assistant', content });
const chat = (...messages: object[]) => ({ messages });
const textOf = ({ tokens }: PreviewRow) => tokens.map(({ text }) => text).join('');
const learnedOf = ({ tokens }: PreviewRow) =>
  tokens.flatMap(({ text, isLearned }) => (isLearned ? [text] : [])).join('');

test('a row is shown as the template writes it, and what is learned is the answer with its end token', async () => {
  const { rows, ...rest } = await look(await write(chat(ask('Two and two?'), say('Four, naïve 日本 😀.'))));
  expect(rows.map(textOf)).toEqual([
    tokenizer.chatTemplate.render([ask('Two and two?'), say('Four, naïve 日本 😀.')] as never, {
      addGenerationPrompt: false,
    }),
  ]);
  expect(rows.map(learnedOf)).toEqual([expect.stringMatching(/^Four, naïve 日本 😀\.<\|end\|>/)]);
  expect(rows[0]).toMatchObject({ line: 1, dropped: null, problem: null, notes: [] });
  expect(rows[0]?.length).toBe(rows[0]?.tokens.length);
  expect(rows[0]?.learned).toBe(rows[0]?.tokens.filter(({ isLearned }) => isLearned).length);
  expect(rest).toMatchObject({ hasMore: false, rowsRead: 1, isPartial: false });
});

test('a letter that several tokens spell stands at the last of them', () => {
  const ids = tokenizer.encode('a😀b');
  const pieces = tokenizer.pieces(ids);
  expect(pieces).toHaveLength(ids.length);
  expect(pieces.join('')).toBe('a😀b');
  expect(pieces.filter((piece) => piece.includes('\ufffd'))).toEqual([]);
  // Half of a letter at the end is no letter.
  expect(tokenizer.pieces(ids.slice(0, 2)).join('')).toBe('a\ufffd');
});

test('rows that are cut, left out or refused say so and why', async () => {
  const path = await write({ text: 'short' }, { text: 'long '.repeat(100) }, { text: ' ' });
  const [short, long] = (await look(path)).rows;
  expect([short?.kept, short?.length]).toEqual([short?.tokens.length, short?.tokens.length]);
  expect([long?.kept, long?.dropped]).toEqual([64, null]);
  expect(long?.length).toBeGreaterThan(64);
  expect((await look(path, { overLength: 'drop' })).rows[1]).toMatchObject({ kept: 0, dropped: 'over_length' });
  const [, refused] = (await look(path, { overLength: 'error' })).rows;
  expect(refused).toMatchObject({
    kept: 0,
    problem: expect.stringMatching(/The row has \d+ tokens, max_seq_len is 64/),
  });
  expect(refused?.tokens.length).toBeGreaterThan(64);
});

test('lines behind a line are shown, as many as asked for, and the lengths are those of all rows', async () => {
  const path = await write(...Array.from({ length: 30 }, (_, i) => ({ text: 'a'.repeat(i + 1) })));
  const found = await look(path, { after: 7, lines: 2 });
  expect(found.rows.map(({ line }) => line)).toEqual([8, 9]);
  expect(found.hasMore).toBe(true);
  expect([found.lengths.rows, found.rowsRead]).toEqual([30, 30]);
  expect((await look(path, { after: 28 })).hasMore).toBe(false);
});

test('when the time is up the lines asked for are shown all the same', async () => {
  const path = await write(...Array.from({ length: 300 }, () => ({ text: 'some words' })));
  const found = await look(path, { after: 200, lines: 2, msMax: -1 });
  expect(found.rows.map(({ line }) => line)).toEqual([201, 202]);
  expect(found).toMatchObject({ isPartial: true, hasMore: true, rowsRead: 2 });
});

test('no more than the first tokens of a long row are shown', async () => {
  const [row] = (await look(await write({ text: 'word '.repeat(50) }), { tokensMax: 10 })).rows;
  expect(row?.tokens).toHaveLength(10);
  expect(row?.length).toBeGreaterThan(50);
});

describe('lengths', () => {
  test('half, nine tenths and 99 of 100 rows are at most so long', () => {
    const found = measureLengths(Array.from({ length: 1_000 }, (_, i) => 1_000 - i));
    expect(found).toMatchObject({ rows: 1_000, tokens: 500_500, longest: 1_000, p50: 500, p90: 900, p99: 990 });
  });

  test.each([
    [[5], [[5, 5, 1]]],
    [[3, 3, 4, 9], [3, 4, 5, 6, 7, 8, 9].map((at) => [at, at, at === 3 ? 2 : at === 4 || at === 9 ? 1 : 0])],
    [[0, 99], Array.from({ length: 20 }, (_, i) => [5 * i, 5 * i + 4, i === 0 || i === 19 ? 1 : 0])],
    [[], []],
  ])('the histogram of %j', (lengths, buckets) => {
    expect(measureLengths(lengths).histogram.map(({ from, to, rows }) => [from, to, rows])).toEqual(buckets);
  });

  test('the histogram counts every row once', () => {
    const lengths = Array.from({ length: 500 }, (_, i) => (i * 7_919) % 1_733);
    const { histogram } = measureLengths(lengths);
    expect(histogram.reduce((sum, { rows }) => sum + rows, 0)).toBe(500);
    expect(histogram.length).toBeLessThanOrEqual(21);
    for (const { from, to, rows } of histogram) expect(lengths.filter((n) => n >= from && n <= to)).toHaveLength(rows);
  });
});

describe('duplicates', () => {
  test('a row that says the same is one, however it is written; one that differs in a letter is none', async () => {
    const path = await write(
      '{"prompt":"a","completion":"b"}',
      '{"prompt":"a","completion":"B"}',
      '{ "completion": "b", "prompt": "\\u0061" }',
      '{"prompt":"a","completion":"b"}',
    );
    expect((await validateFile(path)).duplicates).toEqual({ rows: 2, first: { line: 3, of: 1 } });
  });

  test('numbers of calls that differ in what no float holds are two', async () => {
    const call = (n: string) =>
      `{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":{"n":${n}}}}]}]}`;
    const path = await write(call('9007199254740993'), call('9007199254740992'), call('9007199254740993'));
    const report = await validateFile(path);
    expect(report.errors).toEqual([]);
    expect(report.duplicates).toEqual({ rows: 1, first: { line: 3, of: 1 } });
  });

  test('rows of a file that are in the training file too are counted', async () => {
    const [training, other] = [
      await write({ text: 'a' }, { text: 'b' }),
      await write({ text: 'c' }, { text: 'b' }, { text: 'a' }),
    ];
    const options = { maxSeqLen: 64 };
    const { seen, report } = await encodeFile(training, tokenizer, options);
    expect(report.inTraining).toBeNull();
    const found = await encodeFile(other, tokenizer, { ...options, training: [seen] });
    expect(found.report.inTraining).toEqual({ rows: 2, firstLine: 2 });
    expect(found.rows).toHaveLength(3);
  });

  test('a hundred thousand different rows are all new', () => {
    const finder = findDuplicates();
    for (let i = 0; i < 100_000; i += 1) expect(finder.see(i, { format: 'text', text: `${i}` })).toBeNull();
    expect(finder.found()).toEqual({ rows: 0, first: null });
  });
});

test('as many problems are listed as are asked for', async () => {
  const path = await write(...Array.from({ length: 150 }, () => ({ txt: 'a' })));
  const [few, many] = [await validateFile(path), await validateFile(path, 100)];
  expect([few.errors.length, few.isPartial, many.errors.length, many.isPartial]).toEqual([20, true, 100, true]);
  expect((await validateFile(path, 200)).isPartial).toBe(false);
});

test('a conversation that makes many rows shows no more tokens than its line may', async () => {
  const turns = Array.from({ length: 12 }, (_, i) => [
    ask(`How much is ${i} and ${i}?`),
    say(`It is ${2 * i}.`),
  ]).flat();
  const path = await write(chat(...turns));
  // A template that changes earlier turns: each answer makes a row of its own.
  const source = `{% for m in messages %}{% if loop.last or m.role == 'user' %}{{ m.content }}{% else %}-{% endif %}{{ eos_token }}{% endfor %}`;
  const changing = { ...tokenizer, chatTemplate: compileTemplate(source, { eos_token: tokenizer.eosText }) };
  const show = (tokensMax: number) =>
    previewFile(path, changing, { after: 0, lines: 1, tokensMax, msMax: 60_000, maxSeqLen: 512 });
  const whole = (await show(10_000)).rows;
  expect(whole).toHaveLength(12);
  const { rows } = await show(100);
  expect(rows.map(({ length }) => length)).toEqual(whole.map(({ length }) => length));
  expect(rows.flatMap(({ tokens }) => tokens)).toHaveLength(100);
});
