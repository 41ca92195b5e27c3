import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { unzip } from '../src/install/zip.js';
import { makeZip, temporaryFolder } from './helpers.js';

const folder = temporaryFolder();
const library = Buffer.concat([Buffer.alloc(3_000_000, 'TensorFlow'), randomBytes(500_000)]);
const files = [
  { name: 'pkg/', data: Buffer.alloc(0), method: 'stored' as const },
  { name: 'pkg/lib/library.so.2', data: library, mode: 0o755 },
  { name: 'pkg/include/ümlaut.h', data: Buffer.from('#pragma once\n'), method: 'stored' as const },
  { name: 'pkg/empty.txt', data: Buffer.alloc(0), method: 'stored' as const },
  { name: 'pkg/not_wanted.py', data: Buffer.from('import this') },
];

function archive(name: string, content: Buffer): string {
  const file = path.join(folder, name);
  writeFileSync(file, content);
  return file;
}

test.each([false, true])('a wheel-like archive unpacks byte for byte, zip64: %s', async (zip64) => {
  const into = path.join(folder, `out-${zip64}`);
  const file = archive(`wheel-${zip64}.whl`, makeZip(files, zip64));
  const written = await unzip(file, into, (name) => !name.endsWith('.py'));
  expect(readFileSync(path.join(into, 'pkg/lib/library.so.2')).equals(library)).toBe(true);
  expect(readFileSync(path.join(into, 'pkg/include/ümlaut.h'), 'utf8')).toBe('#pragma once\n');
  expect(statSync(path.join(into, 'pkg/empty.txt')).size).toBe(0);
  expect(existsSync(path.join(into, 'pkg/not_wanted.py'))).toBe(false);
  expect(written).toBe(library.length + '#pragma once\n'.length);
});

test('an executable stays executable and a plain file does not become one', async () => {
  const into = path.join(folder, 'modes');
  await unzip(archive('modes.whl', makeZip(files)), into, () => true);
  expect(statSync(path.join(into, 'pkg/lib/library.so.2')).mode & 0o111).not.toBe(0);
  expect(statSync(path.join(into, 'pkg/include/ümlaut.h')).mode & 0o111).toBe(0);
});

test('an archive with a comment at its end is read', async () => {
  const zip = makeZip(files);
  zip.writeUInt16LE(9, zip.length - 2);
  const into = path.join(folder, 'comment');
  await unzip(archive('comment.whl', Buffer.concat([zip, Buffer.from('a comment')])), into, () => true);
  expect(existsSync(path.join(into, 'pkg/lib/library.so.2'))).toBe(true);
});

test.each([
  ['../outside.txt', 'relative path'],
  ['/etc/passwd', 'absolute path'],
  ['a/../../b', 'relative path'],
  ['a\\b', 'invalid characters'],
  ['a\0b', 'null bytes'],
])('the name %j is refused, and nothing is written', async (name, why) => {
  const into = path.join(folder, 'escape');
  const file = archive('escape.whl', makeZip([{ name, data: Buffer.from('x') }]));
  await expect(unzip(file, into, () => true)).rejects.toThrow(why);
  expect(existsSync(path.join(folder, 'outside.txt')) || existsSync(path.join(into, name.slice(0, 1)))).toBe(false);
});

test('a file that unpacks to more or less than its entry says is refused', async () => {
  for (const change of [-1, 1]) {
    const zip = makeZip([{ name: 'a', data: Buffer.from('hello hello hello') }]);
    const sizeAt = zip.indexOf(Buffer.from('PK\x01\x02', 'latin1')) + 24;
    zip.writeUInt32LE(zip.readUInt32LE(sizeAt) + change, sizeAt);
    const into = path.join(folder, `size ${change}`);
    await expect(unzip(archive('size.whl', zip), into, () => true)).rejects.toThrow(/cannot be unpacked.*bytes/);
  }
});

test('a target that exists is an error of the system, not of the archive', async () => {
  const into = path.join(folder, 'twice');
  const file = archive('twice.whl', makeZip(files));
  await unzip(file, into, () => true);
  await expect(unzip(file, into, () => true)).rejects.toMatchObject({ code: 'EEXIST' });
});

test('a wrong checksum is refused', async () => {
  const file = archive('crc.whl', makeZip([{ name: 'a', data: Buffer.from('hello'), wrongCrc: 1 }]));
  await expect(unzip(file, path.join(folder, 'crc'), () => true)).rejects.toThrow(/a does not match its checksum/);
});

test.each([0, 10, 100_000])('an archive that lost its last bytes is refused (%i left)', async (left) => {
  const file = archive('short.whl', makeZip(files).subarray(0, left));
  await expect(unzip(file, path.join(folder, 'short'), () => true)).rejects.toThrow(/cannot be unpacked.*truncated/);
});
