import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { brotliDecompressSync, constants, gunzipSync } from 'node:zlib';
import { afterAll, expect, test } from 'vitest';
import { type Archive, type Entry, type Part, packArchive } from '../../src/bundle/pack.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine pack '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const folder = (name: string): string => {
  mkdirSync(path.join(dir, name));
  return path.join(dir, name);
};
// Noise, so that packing does not make one part of it.
const noise = Buffer.concat(Array.from({ length: 1250 }, (_, i) => createHash('sha256').update(String(i)).digest()));
writeFileSync(path.join(dir, 'noise'), noise);
const long = `${'deep/'.repeat(40)}file.js`;
const entries: Entry[] = [
  { name: 'bin/tool', text: '#!/bin/sh\necho hello\n', isProgram: true },
  { name: 'noise', from: path.join(dir, 'noise') },
  { name: 'zeros', from: path.join(dir, 'noise'), zeros: [{ begin: 10, end: 30_000 }] },
  { name: long, text: 'x' },
  { name: 'link', link: 'bin/tool' },
];

function unpacked(archive: Archive, parts: readonly Part[], from: string): string {
  const packed = Buffer.concat(parts.map(({ file }) => readFileSync(path.join(from, file))));
  const params = { [constants.BROTLI_DECODER_PARAM_LARGE_WINDOW]: 1 };
  const tar = archive.packing === 'gzip' ? gunzipSync(packed) : brotliDecompressSync(packed, { params });
  const into = folder(`${path.basename(from)} unpacked`);
  execFileSync('tar', ['-xf', '-', '-C', into], { input: tar });
  return into;
}

test.each(['gzip', 'brotli'] as const)('what %s packs comes out of its parts as it went in', async (packing) => {
  const out = folder(packing);
  const archive: Archive = { name: 'all', packing, entries };
  const parts = await packArchive(archive, out, 9000);
  expect(parts.length).toBeGreaterThan(4);
  for (const [i, { file, bytes, sha256 }] of parts.entries()) {
    const content = readFileSync(path.join(out, file));
    expect(file).toBe(`all.tar.${packing === 'gzip' ? 'gz' : 'br'}.${String(i).padStart(3, '0')}`);
    expect(content.length).toBe(bytes);
    expect(createHash('sha256').update(content).digest('hex')).toBe(sha256);
    if (i < parts.length - 1) expect(bytes).toBe(9000);
  }
  const into = unpacked(archive, parts, out);
  expect(readFileSync(path.join(into, 'noise'))).toEqual(noise);
  expect(readFileSync(path.join(into, 'zeros'))).toEqual(Buffer.from(noise).fill(0, 10, 30_000));
  expect(readFileSync(path.join(into, long), 'utf8')).toBe('x');
  expect(readlinkSync(path.join(into, 'link'))).toBe('bin/tool');
  expect(statSync(path.join(into, 'bin/tool')).mode & 0o777).toBe(0o755);
  expect(lstatSync(path.join(into, 'noise')).mode & 0o777).toBe(0o644);
});

test('the same entries give the same bytes, so an unchanged part need not be carried again', async () => {
  const [once, again] = [folder('once'), folder('again')];
  const archive: Archive = { name: 'all', packing: 'brotli', entries };
  const parts = await packArchive(archive, once, 1 << 20);
  expect(await packArchive(archive, again, 1 << 20)).toEqual(parts);
  expect(parts).toHaveLength(1);
});

test('a file that cannot be read ends the packing with its name', async () => {
  const missing: Archive = {
    name: 'bad',
    packing: 'brotli',
    entries: [...entries, { name: 'x', from: path.join(dir, 'not there') }],
  };
  await expect(packArchive(missing, folder('bad'), 1 << 20)).rejects.toThrow(/not there/);
});
