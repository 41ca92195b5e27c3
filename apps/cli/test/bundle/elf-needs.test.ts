import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { newestNeeds } from '../../src/bundle/elf-needs.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine elf '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const fileOf = (name: string, content: Buffer | string): string => {
  writeFileSync(path.join(dir, name), content);
  return path.join(dir, name);
};
const elf = (...names: string[]): Buffer =>
  Buffer.from(`\x7fELF\0${names.map((name) => `${name}\0`).join('')}`, 'latin1');

test('the newest version that any program names counts, number by number', () => {
  const files = [
    fileOf('a.so', elf('GLIBC_2.2.5', 'GLIBC_2.9', 'GLIBCXX_3.4.9')),
    fileOf('b.so', elf('GLIBC_2.28', 'GLIBC_PRIVATE', 'GLIBCXX_3.4.22')),
  ];
  expect(newestNeeds(files)).toEqual({ glibc: '2.28', libstdcxx: 'GLIBCXX_3.4.22' });
});

test('text that only speaks of a version does not count, nor does a file that is no program', () => {
  const files = [
    fileOf('words.so', elf('GLIBC_2.17', 'needs GLIBC_2.99 or newer', 'GLIBC_2.98-rc')),
    fileOf('notes.js', '\0GLIBC_2.97\0'),
    fileOf('empty', ''),
  ];
  expect(newestNeeds(files)).toEqual({ glibc: '2.17', libstdcxx: undefined });
});

test('a name that lies across the border of two reads is seen', () => {
  const border = 1 << 24;
  for (const before of [4, 12]) {
    const bytes = Buffer.concat([elf('GLIBC_2.3'), Buffer.alloc(border + 100, 1)]);
    bytes.write('\0GLIBC_2.31\0', border - before, 'latin1');
    expect(newestNeeds([fileOf('large.so', bytes)]).glibc).toBe('2.31');
  }
});

test('the Node that runs this needs a glibc', () => {
  expect(newestNeeds([process.execPath]).glibc).toMatch(/^2\.\d+$/);
});
