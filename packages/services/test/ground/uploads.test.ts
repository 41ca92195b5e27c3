import { createHash, randomBytes } from 'node:crypto';
import { readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { testServices } from '@moraine/testing';
import { afterAll, describe, expect, test } from 'vitest';
import { withLocalFile } from '../../src/ground/with-local-file.js';
import { addToUpload, createFsBlobStore, discardUpload, type Services, startUpload } from '../../src/index.js';
import { uploadOf, writeFolder } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const blobs = createFsBlobStore(t.blobsDir);
const s: Services = { ...t.services, blobs };

const ANY = { sizeBytesMax: 1024 ** 2 };
const bytesOf = (...pieces: Buffer[]): Readable => Readable.from(pieces);

describe('an upload', () => {
  test('of exactly the limit is taken, of one byte more is refused', async () => {
    const upload = startUpload();
    const limit = { sizeBytesMax: 1_000 };
    await addToUpload(s, upload, 'fits', bytesOf(Buffer.alloc(600), Buffer.alloc(400)), limit);
    await expect(
      addToUpload(s, upload, 'over', bytesOf(Buffer.alloc(600), Buffer.alloc(401)), limit),
    ).rejects.toMatchObject({ code: 'file_too_large', message: expect.stringContaining('1000 bytes') });
    expect(upload.files.map(({ filename }) => filename)).toEqual(['fits']);
    expect((await blobs.list(upload.prefix)).map(({ sizeBytes }) => sizeBytes)).toEqual([1_000]);
  });

  test('that is too large is not read to its end', async () => {
    let pieces = 0;
    const endless = Readable.from(
      (async function* () {
        for (;;) {
          pieces++;
          yield Buffer.alloc(1_000);
        }
      })(),
    );
    await expect(addToUpload(s, startUpload(), 'x', endless, { sizeBytesMax: 5_000 })).rejects.toThrow();
    expect(pieces).toBeLessThan(50);
    expect(endless.destroyed).toBe(true);
  });

  test('keeps files of one name apart, and never uses a name as a path', async () => {
    const upload = startUpload();
    for (const content of ['first', 'second']) await addToUpload(s, upload, '../../x', Readable.from([content]), ANY);
    const [first, second] = upload.files;
    expect(await text(await blobs.open(first?.blobKey ?? ''))).toBe('first');
    expect(await text(await blobs.open(second?.blobKey ?? ''))).toBe('second');
    for (const { blobKey } of upload.files) expect(blobKey).toMatch(/^incoming\/[0-9a-f-]{36}\/\d$/);
  });

  test('that is discarded is gone whole, and the others stay', async () => {
    const [gone, kept] = [await uploadOf(s, { a: 'a', b: 'b' }), await uploadOf(s, { c: 'c' })];
    await discardUpload(s, gone);
    await discardUpload(s, gone);
    expect(await blobs.list(gone.prefix)).toEqual([]);
    expect(await blobs.list(kept.prefix)).toHaveLength(1);
  });

  test('whose sender goes away in the middle leaves nothing', async () => {
    const upload = startUpload();
    const stream = new Readable({ read: () => undefined });
    const storing = addToUpload(s, upload, 'half', stream, ANY);
    stream.push(Buffer.alloc(500));
    setTimeout(() => stream.destroy(new Error('the sender went away')), 50);
    await expect(storing).rejects.toThrow('the sender went away');
    expect(upload.files).toEqual([]);
    expect(await blobs.list(upload.prefix)).toEqual([]);
    expect(await blobs.list('.incoming')).toEqual([]);
  });
});

describe('a key', () => {
  test('cannot be seen before all of its bytes are there', async () => {
    const stream = new Readable({ read: () => undefined });
    const storing = blobs.put('atomic/key', stream);
    stream.push('half');
    await expect.poll(async () => (await blobs.list('.incoming'))[0]?.sizeBytes).toBe(4);
    expect(await blobs.size('atomic/key')).toBeNull();
    expect(await blobs.list('atomic')).toEqual([]);
    stream.push(' whole');
    stream.push(null);
    await storing;
    expect(await text(await blobs.open('atomic/key'))).toBe('half whole');
  });

  test('has the size and hash of its bytes, whatever pieces they came in', async () => {
    const bytes = randomBytes(300_001);
    const pieces = [bytes.subarray(0, 1), bytes.subarray(1, 65_537), bytes.subarray(65_537)];
    const stored = await blobs.put('pieces', bytesOf(...pieces));
    expect(stored).toEqual({ sizeBytes: 300_001, sha256: createHash('sha256').update(bytes).digest('hex') });
    expect((await buffer(await blobs.open('pieces'))).equals(bytes)).toBe(true);
  });

  test('without bytes is a key all the same', async () => {
    expect(await blobs.put('empty', Readable.from([]))).toMatchObject({ sizeBytes: 0 });
    expect(await blobs.size('empty')).toBe(0);
    expect(await text(await blobs.open('empty'))).toBe('');
  });

  test.each<[string, number, number, string]>([
    ['the first byte', 0, 0, '0'],
    ['the last byte', 9, 9, '9'],
    ['the middle', 3, 6, '3456'],
    ['more than there is', 8, 100, '89'],
  ])('is read in ranges, both ends included: %s', async (_what, start, end, expected) => {
    await blobs.put('digits', Readable.from(['0123456789']));
    expect(await text(await blobs.open('digits', { start, end }))).toBe(expected);
  });

  test('of two writers at once is one of them whole', async () => {
    const sizes = [100_000, 100_000, 100_000];
    await Promise.all(sizes.map((size, i) => blobs.put('raced', bytesOf(Buffer.alloc(size, 65 + i)))));
    const found = await text(await blobs.open('raced'));
    expect(found).toHaveLength(100_000);
    expect(new Set(found).size).toBe(1);
    expect(await blobs.list('.incoming')).toEqual([]);
  });

  test('that moves is at its new place only, and a folder moves whole', async () => {
    for (const name of ['a', 'in/b']) await blobs.put(`from/${name}`, Readable.from([name]));
    await blobs.move('from', 'to/deep');
    expect(await blobs.list('from')).toEqual([]);
    expect((await blobs.list('to/deep')).map(({ path }) => path)).toEqual(['a', 'in/b']);
    await expect(blobs.move('from', 'elsewhere')).rejects.toMatchObject({ code: 'storage' });
  });

  test.each(['../x', 'a/../../x', '/etc/passwd', '..', '.', 'a/../..', ''])(
    '%j cannot leave the folder',
    async (key) => {
      const refused = { code: 'internal' };
      await expect((async () => blobs.put(key, Readable.from(['x'])))()).rejects.toMatchObject(refused);
      await expect((async () => blobs.move(key, 'inside'))()).rejects.toMatchObject(refused);
      await expect((async () => blobs.move('digits', key))()).rejects.toMatchObject(refused);
      await expect((async () => blobs.list(key))()).rejects.toMatchObject(refused);
      await expect((async () => blobs.size(key))()).rejects.toMatchObject(refused);
      expect(() => blobs.localPath(key)).toThrow();
      expect(await blobs.list('.incoming')).toEqual([]);
    },
  );

  test('is a file that only its owner reads', async () => {
    await blobs.put('private', Readable.from(['x']));
    expect((await stat(blobs.localPath('private') ?? '')).mode & 0o077).toBe(0);
  });
});

test('a folder with a link that leads out of it does not bring in what is there', async () => {
  const [outside, dir] = [await writeFolder({ secret: 'outside' }), await writeFolder({ inside: 'in' })];
  await symlink(join(outside, 'secret'), join(dir, 'link'));
  const stored = await blobs.putDir('linked', dir);
  expect((await blobs.list('linked')).map(({ path }) => path)).toEqual(['inside']);
  expect(stored.sizeBytes).toBe(2);
});

describe('withLocalFile', () => {
  /** The same store as one of another machine: it has no paths here. */
  const remote: Services = { ...s, blobs: { ...blobs, localPath: () => null } };
  const stored = () => blobs.put('local', Readable.from(['content']));

  test('gives a store of this machine in place', async () => {
    await stored();
    expect(await withLocalFile(s, 'local', async (path) => path)).toBe(blobs.localPath('local'));
    expect(await blobs.size('local')).toBe(7);
  });

  test('gives a private copy of a store elsewhere, and removes it after use', async () => {
    await stored();
    const used = await withLocalFile(remote, 'local', async (path) => {
      expect(await readFile(path, 'utf8')).toBe('content');
      expect((await stat(path)).mode & 0o077).toBe(0);
      return path;
    });
    await expect(stat(used)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await blobs.size('local')).toBe(7);
  });

  test('removes the copy also when its user fails', async () => {
    await stored();
    let used = '';
    const failing = withLocalFile(remote, 'local', async (path) => {
      used = path;
      await writeFile(path, 'changed');
      throw new Error('no use');
    });
    await expect(failing).rejects.toThrow('no use');
    await expect(stat(used)).rejects.toMatchObject({ code: 'ENOENT' });
    expect(await text(await blobs.open('local'))).toBe('content');
  });

  test('of a key that is not there is not found and leaves no copy', async () => {
    const copies = async () => (await readdir(tmpdir())).filter((name) => /^moraine-[0-9a-f-]{36}$/.test(name));
    const before = await copies();
    await expect(withLocalFile(remote, 'nothing', async () => 1)).rejects.toMatchObject({ code: 'not_found' });
    expect((await copies()).filter((name) => !before.includes(name))).toEqual([]);
  });
});
