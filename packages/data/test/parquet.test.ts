import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { convertFile } from '../src/convert/convert-file.js';
import { readParquet } from '../src/convert/parquet-rows.js';
import { validateFile } from '../src/validate-file.js';

// The tables and what is in them are written by pyarrow: scripts/parquet/make.py.
const fixtures = resolve(import.meta.dirname, '../../../scripts/parquet/fixtures');
const tableOf = (name: string): string => join(fixtures, `${name}.parquet`);
const expected = (name: string): string[] =>
  readFileSync(join(fixtures, `${name}.jsonl`), 'utf8')
    .trimEnd()
    .split('\n');
const dir = mkdtempSync(join(tmpdir(), 'moraine-parquet-'));
afterAll(() => rmSync(dir, { recursive: true }));

async function rowsOf(path: string): Promise<string[]> {
  const rows: string[] = [];
  for await (const { line, written } of readParquet(path)) {
    rows.push(written);
    expect(line).toBe(rows.length);
  }
  return rows;
}

describe('a table', () => {
  test.each(['none', 'snappy', 'gzip', 'zstd', 'brotli', 'lz4', 'v2'])(
    'of conversations that go on from page to page (%s) is read row by row',
    async (codec) => expect(await rowsOf(tableOf(`chat-${codec}`))).toEqual(expected('chat')),
  );

  test('keeps every digit of whole numbers, times and decimals; null and bytes are left out', async () => {
    expect(await rowsOf(tableOf('pairs'))).toEqual(expected('pairs'));
  });

  test('whose column messages holds JSON texts has their lists', async () => {
    const rows = await rowsOf(tableOf('texts'));
    const [row] = rows.map((line) => JSON.parse(line) as unknown);
    expect(row).toEqual({
      messages: [
        { role: 'user', content: 'a' },
        { role: 'assistant', content: 'b' },
      ],
    });
  });

  test('becomes a file of rows that an upload takes, and what is left out is said', async () => {
    const to = join(dir, 'rows.jsonl');
    const said = await convertFile(tableOf('chat-zstd'), to);
    expect(said).toMatchObject({ rows: 40, form: null, leftOut: { id: 40 }, duplicates: { rows: 0 } });
    expect(await validateFile(to)).toMatchObject({ rows: 40, format: 'chat', errors: [] });
    const pairs = await convertFile(tableOf('pairs'), join(dir, 'pairs.jsonl'));
    expect(pairs).toMatchObject({ rows: 4, leftOut: { big: 3, picture: 4, price: 2 } });
  });
});

test('an empty cell of a table is null, not a row of another form', async () => {
  const to = join(dir, 'nulls.jsonl');
  const why = "Line 3: /instruction: This is a row of the form Alpaca without 'instruction'.";
  await expect(convertFile(tableOf('nulls'), to)).rejects.toMatchObject({ code: 'invalid_file', message: why });
  const said = await convertFile(tableOf('nulls'), to, { skipsBad: true });
  expect(said).toMatchObject({
    rows: 2,
    form: 'Alpaca',
    leftOut: {},
    skipped: { rows: 1, first: expect.stringContaining(why) },
  });
  expect(
    readFileSync(to, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).messages[0].content),
  ).toEqual(['a', 'é😀']);
});

describe('a table that cannot be read', () => {
  const refusal = async (path: string): Promise<string> =>
    rowsOf(path).then(
      () => 'read',
      (error: Error & { code?: string }) => `${error.code}: ${error.message}`,
    );

  test('is refused with what is wrong', async () => {
    expect(await refusal(tableOf('decimals'))).toMatch(/^invalid_file: .*'price' holds decimals/);
    expect(await refusal(tableOf('latin'))).toMatch(/^invalid_file: Line 1: .*not UTF-8/);
    const unknown = readFileSync(tableOf('chat-gzip'));
    const name = join(dir, 'cut.parquet');
    writeFileSync(name, unknown);
    truncateSync(name, unknown.length - 100);
    expect(await refusal(name)).toMatch(/^invalid_file: .*cannot be read/);
    writeFileSync(name, 'PAR1');
    expect(await refusal(name)).toMatch(/^invalid_file: .*cannot be read/);
  });

  test('because bytes of it are changed is refused by name, or its rows are as many', async () => {
    const whole = readFileSync(tableOf('chat-snappy'));
    const name = join(dir, 'changed.parquet');
    let refused = 0;
    for (let at = 4; at < whole.length - 8; at += 97) {
      const changed = Buffer.from(whole);
      changed[at] = (changed[at] ?? 0) ^ 0xff;
      writeFileSync(name, changed);
      const said = await refusal(name);
      if (said !== 'read') expect(said).toMatch(/^invalid_file: /);
      refused += Number(said !== 'read');
    }
    expect(refused).toBeGreaterThan(10);
  });

  test('with no rows has none to learn from', async () => {
    await expect(convertFile(tableOf('empty'), join(dir, 'none.jsonl'))).rejects.toMatchObject({
      code: 'invalid_file',
    });
  });
});

test('an upload of a table is refused with the command that converts it', async () => {
  const { errors } = await validateFile(tableOf('texts'));
  expect(errors[0]?.message).toBe('The file is a Parquet table.');
  expect(errors[0]?.hint).toContain('npx moraine local convert');
});
