import { createHash } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { text } from 'node:stream/consumers';
import { testServices } from '@moraine/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { type Actor, collectStaleUploads, createFsBlobStore, openFile, type Services } from '../../src/index.js';
import { defaultActor, goodRows, uploadOf, uploadRows } from '../tiny-base.js';

const root = await mkdtemp(join(tmpdir(), 'moraine-blobs-'));
const store = createFsBlobStore(root);
const t = await testServices();
afterAll(async () => {
  await t.close();
  await rm(root, { recursive: true });
});

const put = (key: string, bytes: string) => store.put(key, Readable.from([Buffer.from(bytes)]));

describe('the file store', () => {
  test('keeps bytes under their key, with size and sha256, and reads ranges', async () => {
    const stored = await put('a/b', 'hello');
    // sha256 of "hello", from sha256sum
    expect(stored).toEqual({
      sizeBytes: 5,
      sha256: '2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824',
    });
    expect(await text(await store.open('a/b'))).toBe('hello');
    expect(await text(await store.open('a/b', { start: 1, end: 3 }))).toBe('ell');
    expect(await store.size('a/b')).toBe(5);
    expect(await store.list('a')).toMatchObject([{ path: 'b', sizeBytes: 5 }]);
  });

  test('what is removed once it was opened is read whole', async () => {
    await put('gone', 'hello');
    const opened = await store.open('gone');
    rmSync(join(root, 'gone'));
    expect(await text(opened)).toBe('hello');
    await expect(store.open('gone')).rejects.toMatchObject({ code: 'not_found' });
    await expect(store.open('a')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('lets nobody but its owner in', async () => {
    const dir = join(root, 'fresh');
    await createFsBlobStore(dir).put('a/b', Readable.from(['secret']));
    expect((await stat(dir)).mode & 0o077).toBe(0);
  });

  test('a stream that breaks leaves neither key nor rest', async () => {
    const broken = Readable.from(
      (async function* () {
        yield Buffer.from('half');
        throw new Error('the line was cut');
      })(),
    );
    await expect(store.put('cut', broken)).rejects.toThrow('the line was cut');
    expect(await store.size('cut')).toBeNull();
    expect(await readdir(join(root, '.incoming'))).toEqual([]);
  });

  test('a folder is stored whole, and its hash is that of its sorted files', async () => {
    const dir = join(root, 'source');
    await mkdir(join(dir, 'inner'), { recursive: true });
    await writeFile(join(dir, 'z'), 'zz');
    await writeFile(join(dir, 'inner/y'), 'y');
    const hash = (bytes: string) => createHash('sha256').update(bytes).digest('hex');
    const expected = { sizeBytes: 3, sha256: hash(`inner/y ${hash('y')}\nz ${hash('zz')}\n`) };
    expect(await store.putDir('runs/1', dir)).toEqual(expected);
    // Another worker stores the same folder again.
    expect(await store.putDir('runs/1', dir)).toEqual(expected);
    expect((await store.list('runs/1')).map((entry) => entry.path)).toEqual(['inner/y', 'z']);
  });

  test('a key cannot leave the folder', async () => {
    for (const key of ['../x', 'a/../../x', '/etc/passwd', '']) {
      await expect(async () => store.open(key)).rejects.toMatchObject({ code: 'internal' });
      await expect(async () => store.remove(key)).rejects.toMatchObject({ code: 'internal' });
    }
  });

  test('what is not there is not found, has no size, lists nothing, and may be removed', async () => {
    await expect(store.open('nothing')).rejects.toMatchObject({ code: 'not_found' });
    expect(await store.size('nothing')).toBeNull();
    expect(await store.list('nothing')).toEqual([]);
    await store.remove('nothing');
  });
});

test('what a crash left of uploads goes after a day; what has a row, or is fresh, stays', async () => {
  const s: Services = t.services;
  const actor: Actor = await defaultActor(s);
  const kept = await uploadRows(s, actor, goodRows(2));
  const left = await uploadOf(s, { 'left.jsonl': 'x' });
  const fresh = await uploadOf(s, { 'fresh.jsonl': 'x' });
  await s.blobs.put('files/file-without-row', Readable.from(['x']));
  await s.blobs.put('bases/base-without-row/config.json', Readable.from(['x']));
  const yesterday = new Date(Date.now() - 25 * 3_600_000);
  const aged = [
    `files/${kept.id}`,
    left.files[0]?.blobKey ?? '',
    'files/file-without-row',
    'bases/base-without-row/config.json',
  ];
  for (const key of aged) await utimes(s.blobs.localPath(key) ?? '', yesterday, yesterday);
  expect(await collectStaleUploads(s)).toBe(3);
  expect(await text((await openFile(s, actor, kept.id)).stream)).toBe(goodRows(2));
  expect(await s.blobs.list(fresh.prefix)).toHaveLength(1);
  expect(await s.blobs.list(left.prefix)).toEqual([]);
  expect((await s.blobs.list('files')).map((entry) => entry.path)).toEqual([kept.id]);
  expect(await s.blobs.list('bases')).toEqual([]);
});
