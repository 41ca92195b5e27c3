import { rm } from 'node:fs/promises';
import { FilePreview, FileValidation } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createCache } from '../../src/ground/cache.js';
import {
  type Actor,
  createBaseFromDir,
  getFileValidation,
  type PreviewQuery,
  previewStoredFile,
  type Services,
} from '../../src/index.js';
import { defaultActor, goodRows, otherActor, tinyFiles, uploadRows, writeFolder } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
});

const upload = async (text: string, filename?: string) => (await uploadRows(s, actor, text, 'fine-tune', filename)).id;
const ask = (id: string, query: Partial<PreviewQuery> = {}) =>
  previewStoredFile(s, actor, id, { model: 'tiny', after: 0, limit: 5, over_length: 'truncate', ...query });

/** Takes the bytes of a file away: only what was kept can still be answered. */
async function removeBytes(id: string): Promise<void> {
  const { blobKey } = await s.db.file.findUniqueOrThrow({ where: { id } });
  await rm(s.blobs.localPath(blobKey) ?? '', { force: true });
}

describe('validation', () => {
  test('lists a hundred problems with line, pointer, code and hint, where the file itself has twenty', async () => {
    const id = await upload(`${goodRows(3)}\n${'{"prompt": 7, "completion": "x"}\n'.repeat(150)}`);
    const found = await getFileValidation(s, actor, id);
    expect(FileValidation.parse(found)).toEqual(found);
    expect(found).toMatchObject({
      file_id: id,
      status: 'error',
      format: 'prompt_completion',
      rows: 3,
      is_whole: false,
    });
    expect(found.problems).toHaveLength(100);
    expect(found.problems[99]).toEqual({
      line: 103,
      pointer: '/prompt',
      code: 'wrong_type',
      message: "'prompt' is 7, not a text.",
      hint: 'Put it between quotation marks.',
    });
    const row = await s.db.file.findUniqueOrThrow({ where: { id } });
    expect(row.problems).toHaveLength(20);
  });

  test('of a good file has no problems, counts its letters and names rows that it has twice', async () => {
    const found = await getFileValidation(s, actor, await upload(`${goodRows(2)}\n${goodRows(3)}`));
    expect(found).toMatchObject({
      status: 'processed',
      rows: 5,
      characters: 5 * '0 + 1 = 1'.length,
      longest_row_characters: 9,
      problems: [],
      is_whole: true,
      duplicates: { rows: 2, first: { line: 3, of: 1 } },
    });
  });

  test('is kept by the content of the file, whatever it is called', async () => {
    const text = goodRows(11);
    const [first, second] = [await upload(text, 'a.jsonl'), await upload(text, 'b.jsonl')];
    const found = await getFileValidation(s, actor, first);
    await removeBytes(second);
    expect(await getFileValidation(s, actor, second)).toEqual({ ...found, file_id: second });
  });

  test('of a large file is found beside the loop, at the upload too', async () => {
    let turns = 0;
    const timer = setInterval(() => {
      turns += 1;
    }, 5);
    const id = await upload(goodRows(60_000));
    await getFileValidation(s, actor, id);
    clearInterval(timer);
    expect(turns).toBeGreaterThan(20);
  });
});

describe('preview', () => {
  test('shows rows as a run on the base reads them', async () => {
    const id = await upload(goodRows(8));
    const found = await ask(id, { limit: 2, after: 3 });
    expect(FilePreview.parse(found)).toEqual(found);
    expect(found).toMatchObject({ model: 'tiny', max_seq_len: 64, has_more: true, rows_read: 8, is_whole: true });
    expect(found.rows.map(({ line }) => line)).toEqual([4, 5]);
    const { tokens, learned } = found.rows[0] ?? { tokens: [], learned: 0 };
    // The letters that the tiny vocabulary lacks are unknown tokens.
    expect(tokens.filter((token) => token.learned)).toHaveLength(learned);
    expect(tokens.at(-1)).toMatchObject({ text: '</s>', learned: true });
    expect(found.lengths.histogram.reduce((sum, { rows }) => sum + rows, 0)).toBe(8);
  });

  test('is kept by file, base and question', async () => {
    const text = goodRows(9);
    const [first, second] = [await upload(text, 'c.jsonl'), await upload(text, 'd.jsonl')];
    const found = await ask(first);
    await removeBytes(first);
    await removeBytes(second);
    expect(await ask(second)).toEqual({ ...found, file_id: second });
    await expect(ask(second, { limit: 4 })).rejects.toThrow(/ENOENT/);
  });

  test.each([
    ['a base that is not there', { model: 'tyni' }, 'not_found', "Did you mean 'tiny'?"],
    ['a length beyond the context', { max_seq_len: 65 }, 'invalid_value', 'Take at most 64.'],
  ])('refuses %s', async (_, query, code, hint) => {
    await expect(ask(await upload(goodRows(1)), query)).rejects.toMatchObject({ code, hint });
  });

  test('of a file with a bad line says which', async () => {
    const id = await upload(`${goodRows(1)}\n{"prompt": 7}`);
    await expect(ask(id)).rejects.toMatchObject({ code: 'invalid_file', param: expect.stringContaining('line 2') });
  });
});

test('files of other projects are not found', async () => {
  const [id, other] = [await upload(goodRows(1)), await otherActor(s)];
  await expect(getFileValidation(s, other, id)).rejects.toMatchObject({ code: 'not_found' });
  await expect(
    previewStoredFile(s, other, id, { model: 'tiny', after: 0, limit: 5, over_length: 'drop' }),
  ).rejects.toMatchObject({
    code: 'not_found',
  });
});

describe('a cache', () => {
  test('asks once for a key, also while it is being found, and forgets what nobody asked for the longest', async () => {
    const asked: string[] = [];
    const cache = createCache<string>(2);
    const get = (key: string) =>
      cache.get(key, async () => {
        asked.push(key);
        return key.toUpperCase();
      });
    expect(await Promise.all([get('a'), get('a'), get('b')])).toEqual(['A', 'A', 'B']);
    await get('a');
    await get('c');
    expect(await get('a')).toBe('A');
    await get('b');
    expect(asked).toEqual(['a', 'b', 'c', 'b']);
  });

  test('does not keep what failed', async () => {
    const cache = createCache<number>(2);
    await expect(cache.get('a', () => Promise.reject(new Error('first')))).rejects.toThrow('first');
    expect(await cache.get('a', async () => 2)).toBe(2);
  });

  test('gives what time cut short to those who wait, and looks again for the next', async () => {
    const cache = createCache<{ n: number; isWhole: boolean }>(2, ({ isWhole }) => isWhole);
    let asked = 0;
    const get = () => cache.get('a', async () => ({ n: ++asked, isWhole: asked > 1 }));
    expect((await Promise.all([get(), get()])).map(({ n }) => n)).toEqual([1, 1]);
    expect([await get(), await get()].map(({ n }) => n)).toEqual([2, 2]);
  });
});
