import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  createFile,
  deleteFile,
  getFile,
  listFiles,
  openFile,
  resumeFileValidation,
  type Services,
  startUpload,
} from '../../src/index.js';
import { validateStoredFile } from '../../src/library/validate-stored-file.js';
import { waitForFile } from '../../src/library/wait-for-file.js';
import { defaultActor, goodRows, otherActor, uploadOf, uploadRows } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
beforeAll(async () => {
  actor = await defaultActor(s);
});

const notFound = { code: 'not_found', status: 404, param: 'file_id' };

/** A file that was stored by a process that ended before it validated it. */
async function unsettled(text = goodRows(3)): Promise<string> {
  const { id } = await uploadRows(s, actor, text);
  await s.db.file.update({
    where: { id },
    data: { status: 'uploaded', rows: null, format: null, statusDetails: null, problems: [] },
  });
  return id;
}

describe('validation', () => {
  test('that a process left is taken up for every file that has no verdict, good or bad', async () => {
    const [good, bad] = [await unsettled(), await unsettled('{"prompt":1}')];
    await resumeFileValidation(s);
    expect(await getFile(s, actor, good)).toMatchObject({ status: 'processed', rows: 3 });
    expect(await getFile(s, actor, bad)).toMatchObject({ status: 'error', problems: [{ line: 1 }] });
  });

  test('does not change a verdict that was given meanwhile', async () => {
    const { id } = await uploadRows(s, actor, goodRows(3));
    await s.blobs.remove(`files/${id}`);
    await validateStoredFile(s, id);
    await resumeFileValidation(s);
    expect(await getFile(s, actor, id)).toMatchObject({ status: 'processed', rows: 3 });
  });

  test('by two processes at once gives one verdict', async () => {
    const id = await unsettled(goodRows(200));
    await Promise.all([1, 2, 3].map(() => validateStoredFile(s, id)));
    expect(await getFile(s, actor, id)).toMatchObject({ status: 'processed', rows: 200, problems: [] });
  });

  test('passes over a deleted file and an id that does not exist', async () => {
    const id = await unsettled();
    await s.db.file.update({ where: { id }, data: { deletedAt: new Date() } });
    await resumeFileValidation(s);
    await validateStoredFile(s, id);
    await validateStoredFile(s, newId('file'));
    expect(await s.db.file.findUniqueOrThrow({ where: { id } })).toMatchObject({ status: 'uploaded', rows: null });
  });

  test('of a file whose bytes are gone says what to do, and not where they were', async () => {
    const id = await unsettled();
    await s.blobs.remove(`files/${id}`);
    await validateStoredFile(s, id);
    const file = await getFile(s, actor, id);
    expect(file).toMatchObject({ status: 'error', status_details: expect.stringContaining('Upload it again') });
    expect(file.status_details).not.toContain(t.blobsDir);
  });
});

describe('a run that waits for its file', () => {
  test('goes on as soon as the file is processed', async () => {
    const id = await unsettled();
    const waiting = waitForFile(s, actor, id, 'training_file');
    setTimeout(() => void validateStoredFile(s, id), 150);
    expect(await waiting).toMatchObject({ id, status: 'processed', rows: 3 });
  });

  test('is refused with the problem when the file turns out bad', async () => {
    const id = await unsettled('{"prompt":1,"completion":"x"}');
    const waiting = waitForFile(s, actor, id, 'validation_file');
    setTimeout(() => void validateStoredFile(s, id), 150);
    await expect(waiting).rejects.toMatchObject({
      code: 'invalid_file',
      param: 'validation_file',
      message: expect.stringMatching(/rows\.jsonl.*prompt/s),
    });
  });

  test('is refused when the file is deleted meanwhile', async () => {
    const id = await unsettled();
    const waiting = waitForFile(s, actor, id, 'training_file');
    setTimeout(() => void deleteFile(s, actor, id), 150);
    await expect(waiting).rejects.toMatchObject({ ...notFound, param: 'training_file' });
  });

  test('is refused when the file has no rows', async () => {
    const { id } = await uploadRows(s, actor, goodRows(1));
    await s.db.file.update({ where: { id }, data: { rows: 0 } });
    await expect(waitForFile(s, actor, id, 'training_file')).rejects.toMatchObject({
      code: 'invalid_file',
      message: expect.stringContaining('no training rows'),
    });
  });
});

describe('a file', () => {
  test('is made of one upload with one file', async () => {
    const create = (upload: ReturnType<typeof startUpload>) => createFile(s, actor, { upload, purpose: 'fine-tune' });
    const two = await uploadOf(s, { a: 'a', b: 'b' });
    for (const [upload, count] of [
      [startUpload(), 0],
      [two, 2],
    ] as const) {
      await expect(create(upload)).rejects.toMatchObject({
        code: 'invalid_request',
        param: 'file',
        message: `The upload has ${count} files.`,
      });
    }
    expect(await s.blobs.list(two.prefix)).toHaveLength(2);
  });

  test.each([3_599, 2_592_001, 3_600.5, -1, Number.NaN])('cannot expire after %d seconds', async (seconds) => {
    const upload = await uploadOf(s, { a: goodRows(1) });
    await expect(
      createFile(s, actor, { upload, purpose: 'evals', expiresAfterSeconds: seconds }),
    ).rejects.toMatchObject({ code: 'invalid_value', param: 'expires_after' });
  });

  test.each([3_600, 2_592_000])('can expire after %d seconds', async (seconds) => {
    const upload = await uploadOf(s, { a: goodRows(1) });
    const file = await createFile(s, actor, { upload, purpose: 'evals', expiresAfterSeconds: seconds });
    expect((file.expires_at ?? 0) - file.created_at).toBe(seconds);
    const { createdAt, expiresAt } = await s.db.file.findUniqueOrThrow({ where: { id: file.id } });
    expect((expiresAt?.getTime() ?? 0) - createdAt.getTime()).toBe(1_000 * seconds);
  });

  test('that is deleted twice is not found the second time', async () => {
    const { id } = await uploadRows(s, actor, goodRows(1));
    await deleteFile(s, actor, id);
    await expect(deleteFile(s, actor, id)).rejects.toMatchObject(notFound);
    await expect(openFile(s, actor, id)).rejects.toMatchObject(notFound);
  });

  test('that has expired can neither be read, trained on, listed nor deleted', async () => {
    const { id } = await uploadRows(s, actor, goodRows(1));
    await s.db.file.update({ where: { id }, data: { expiresAt: new Date(Date.now() - 1) } });
    await expect(openFile(s, actor, id)).rejects.toMatchObject(notFound);
    await expect(waitForFile(s, actor, id, 'file_id')).rejects.toMatchObject(notFound);
    await expect(deleteFile(s, actor, id)).rejects.toMatchObject(notFound);
    const { data } = await listFiles(s, actor, { limit: 1_000, order: 'desc' });
    expect(data.map((file) => file.id)).not.toContain(id);
  });

  test.each([
    ['C:\\data\\train.jsonl', 'train.jsonl'],
    ['a/b/', 'file.jsonl'],
    ['\u0001\u007f', 'file.jsonl'],
    ['x'.repeat(300), 'x'.repeat(255)],
    ['Größe 数据.jsonl', 'Größe 数据.jsonl'],
  ])('that was sent as %j is called by its last part', async (sent, filename) => {
    expect(await uploadRows(s, actor, goodRows(1), 'evals', sent)).toMatchObject({ filename });
  });
});

describe('a list of files', () => {
  let other: Actor;
  const ids: string[] = [];
  beforeAll(async () => {
    other = await otherActor(s);
    for (const purpose of ['fine-tune', 'evals', 'fine-tune', 'evals', 'fine-tune'])
      ids.push((await uploadRows(s, other, goodRows(1), purpose)).id);
    for (const [i, id] of ids.entries())
      await s.db.file.update({ where: { id }, data: { createdAt: new Date(1_700_000_000_000 + 1_000 * i) } });
  });
  const list = async (query: Partial<Parameters<typeof listFiles>[2]>) => {
    const page = await listFiles(s, other, { limit: 10, order: 'asc', ...query });
    return { ...page, at: page.data.map((file) => ids.indexOf(file.id)) };
  };

  test('is in the order of age, either way', async () => {
    expect((await list({})).at).toEqual([0, 1, 2, 3, 4]);
    expect((await list({ order: 'desc' })).at).toEqual([4, 3, 2, 1, 0]);
  });

  test('has the files of one purpose when it is asked for, also page by page', async () => {
    expect((await list({ purpose: 'evals' })).at).toEqual([1, 3]);
    const first = await list({ purpose: 'fine-tune', limit: 2 });
    expect([first.at, first.has_more]).toEqual([[0, 2], true]);
    const second = await list({ purpose: 'fine-tune', limit: 2, after: first.last_id ?? '' });
    expect([second.at, second.has_more]).toEqual([[4], false]);
    expect((await list({ purpose: 'nothing' })).at).toEqual([]);
  });

  test('says that there is more only when there is', async () => {
    expect((await list({ limit: 5 })).has_more).toBe(false);
    expect((await list({ limit: 4 })).has_more).toBe(true);
    expect(await list({ after: ids[4] })).toMatchObject({ data: [], has_more: false, first_id: null, last_id: null });
  });

  test('goes on after an item that was deleted since', async () => {
    await deleteFile(s, other, ids[2] ?? '');
    expect((await list({ after: ids[2] })).at).toEqual([3, 4]);
    expect((await list({})).at).toEqual([0, 1, 3, 4]);
  });
});
