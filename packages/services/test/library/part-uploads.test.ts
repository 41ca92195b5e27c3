import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  addUploadPart,
  cancelUpload,
  completeUpload,
  createUpload,
  openFile,
  partBytesMax,
  type Services,
} from '../../src/index.js';
import { collectUploads } from '../../src/library/collect-uploads.js';
import { defaultActor, goodRows, uploadOf } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
beforeAll(async () => {
  actor = await defaultActor(s);
});

const rows = goodRows(40);
const pieces = [rows.slice(0, 100), rows.slice(100, 101), rows.slice(101)];
const md5Of = (bytes: string): string => createHash('md5').update(bytes).digest('hex');

const begin = (bytes = Buffer.byteLength(rows), extra: object = {}) =>
  createUpload(
    s,
    actor,
    { filename: '../train.jsonl', purpose: 'fine-tune', bytes, mime_type: 'text/jsonl', ...extra },
    1_000_000,
  );
const send = async (id: string, bytes: string, retryCount = 0): Promise<string> =>
  (await addUploadPart(s, actor, id, await uploadOf(s, { data: bytes }), { retryCount })).id;
/** Sends the pieces last first; answers their ids in the order of the bytes. */
async function sendAll(id: string): Promise<string[]> {
  const ids: string[] = [];
  for (const piece of pieces.toReversed()) ids.unshift(await send(id, piece));
  return ids;
}
const complete = (id: string, part_ids: string[], md5?: string) =>
  completeUpload(s, actor, id, { part_ids, ...(md5 ? { md5 } : {}) });
const blobsOf = (id: string) => s.blobs.list(`uploads/${id}`);
const conflict = { code: 'conflict', status: 409, retryable: false };

describe('an upload in parts', () => {
  test('becomes a validated file of its parts in the order of their ids, whatever order they came in', async () => {
    const upload = await begin();
    expect(upload).toMatchObject({ object: 'upload', status: 'pending', filename: 'train.jsonl', file: null });
    expect(upload.expires_at - upload.created_at).toBe(3600);
    const { createdAt, expiresAt } = await s.db.partUpload.findUniqueOrThrow({ where: { id: upload.id } });
    expect(expiresAt.getTime() - createdAt.getTime()).toBe(3_600_000);
    const done = await complete(upload.id, await sendAll(upload.id), md5Of(rows).toUpperCase());
    const bytes = Buffer.byteLength(rows);
    expect(done).toMatchObject({ id: upload.id, status: 'completed', bytes });
    expect(done.file).toMatchObject({ object: 'file', bytes, status: 'processed', rows: 40, expires_at: null });
    expect(await text((await openFile(s, actor, done.file?.id ?? '')).stream)).toBe(rows);
    expect(await blobsOf(upload.id)).toEqual([]);
  });

  test('is completed once, by many requests at once and afterwards, and not once more of other parts', async () => {
    const upload = await begin(Buffer.byteLength(rows), { expires_after: { anchor: 'created_at', seconds: 7200 } });
    const ids = await sendAll(upload.id);
    await s.blobs.remove('incoming');
    const all = await Promise.all(Array.from({ length: 20 }, () => complete(upload.id, ids)));
    expect(await s.blobs.list('incoming')).toEqual([]);
    expect(new Set(all.map(({ file }) => file?.id)).size).toBe(1);
    expect(all[0]?.file?.expires_at).toBeGreaterThan(upload.created_at + 7000);
    expect((await complete(upload.id, ids)).file?.id).toBe(all[0]?.file?.id);
    await expect(complete(upload.id, ids.slice(1))).rejects.toMatchObject(conflict);
    await expect(cancelUpload(s, actor, upload.id)).rejects.toMatchObject(conflict);
    await expect(send(upload.id, 'more')).rejects.toMatchObject(conflict);
  });

  test('stays open when the size, the MD5 or a part is wrong, and is then completed', async () => {
    const upload = await begin();
    const ids = await sendAll(upload.id);
    const [first = '', second = '', third = ''] = ids;
    const wrong = (param: string, message: string) => ({
      code: 'invalid_value',
      param,
      message: expect.stringContaining(message),
    });
    const short = `${Buffer.byteLength(rows) - 1} bytes`;
    await expect(complete(upload.id, [first, third])).rejects.toMatchObject(wrong('part_ids', short));
    await expect(complete(upload.id, [...ids, second])).rejects.toMatchObject(wrong('part_ids', 'bytes'));
    await expect(complete(upload.id, [first, 'part_x', third])).rejects.toMatchObject(wrong('part_ids[1]', 'part_x'));
    const swapped = [second, first, third];
    await expect(complete(upload.id, swapped, md5Of(rows))).rejects.toMatchObject(wrong('md5', md5Of(rows)));
    expect((await complete(upload.id, ids, md5Of(rows))).status).toBe('completed');
  });

  test('does not take parts of another upload', async () => {
    const [one, other] = [await begin(), await begin()];
    const ids = await sendAll(one.id);
    await expect(complete(other.id, ids)).rejects.toMatchObject({ code: 'invalid_value', param: 'part_ids[0]' });
  });

  test('has a part once that a client sent again, and twice when it was sent twice', async () => {
    const upload = await begin(8);
    const first = await send(upload.id, 'aaaa');
    expect(await send(upload.id, 'aaaa', 1)).toBe(first);
    const second = await send(upload.id, 'aaaa');
    expect(second).not.toBe(first);
    expect((await complete(upload.id, [first, second])).file?.bytes).toBe(8);
  });

  test('takes parts of twice its size in all, one of which has its size at most, and none without bytes', async () => {
    const upload = await begin(8);
    expect(await partBytesMax(s, actor, upload.id)).toBe(8);
    await send(upload.id, 'aaaaaaaa');
    await send(upload.id, 'bbbbbbbb');
    await expect(send(upload.id, 'c')).rejects.toMatchObject({ code: 'file_too_large', status: 413 });
    await expect(send((await begin()).id, '')).rejects.toMatchObject({ code: 'invalid_request' });
  });

  test('is refused for another purpose and beyond the limit of a file', async () => {
    await expect(begin(1_000_001)).rejects.toMatchObject({ code: 'file_too_large', param: 'bytes' });
    await expect(begin(10, { purpose: 'fine-tun' })).rejects.toMatchObject({ code: 'invalid_value', param: 'purpose' });
  });
});

test('a cancelled upload loses its parts and takes no more; cancelling twice is one', async () => {
  const upload = await begin();
  const ids = await sendAll(upload.id);
  for (const _ of [1, 2]) expect((await cancelUpload(s, actor, upload.id)).status).toBe('cancelled');
  expect(await blobsOf(upload.id)).toEqual([]);
  await expect(complete(upload.id, ids)).rejects.toMatchObject(conflict);
  await expect(send(upload.id, 'x')).rejects.toMatchObject(conflict);
});

test('an upload that is cancelled while it is completed is refused as cancelled', async () => {
  const upload = await begin();
  const ids = await sendAll(upload.id);
  const open: Services['blobs']['open'] = async (...args) => {
    await cancelUpload(s, actor, upload.id);
    return s.blobs.open(...args);
  };
  const completing = completeUpload({ ...s, blobs: { ...s.blobs, open } }, actor, upload.id, { part_ids: ids });
  await expect(completing).rejects.toMatchObject({ ...conflict, message: expect.stringContaining('is cancelled') });
});

test('an upload past its time takes nothing, and its parts are collected, as are those that a crash left', async () => {
  const [late, open, done] = [await begin(), await begin(), await begin()];
  for (const { id } of [late, open]) await sendAll(id);
  await complete(done.id, await sendAll(done.id));
  await s.blobs.put(`uploads/${done.id}/part_left`, Readable.from(['x']));
  await s.db.partUpload.update({ where: { id: late.id }, data: { expiresAt: new Date(Date.now() - 1) } });
  await expect(send(late.id, 'x')).rejects.toMatchObject({ ...conflict, message: expect.stringContaining('expired') });
  expect(await collectUploads(s, -1_000)).toBe(2);
  expect([await blobsOf(late.id), await blobsOf(done.id)]).toEqual([[], []]);
  expect((await blobsOf(open.id)).length).toBe(3);
  expect(await s.db.uploadPart.count({ where: { uploadId: late.id } })).toBe(0);
});
