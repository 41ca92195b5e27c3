import { existsSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFolder } from '../src/make-folder.js';

const dir = mkdtempSync(join(tmpdir(), 'moraine-folder-'));

test('a folder is made with those above it, and one that is there is left as it is', () => {
  const deep = join(dir, 'a', 'b', 'c');
  makeFolder(deep, 0o700);
  expect(statSync(deep).isDirectory()).toBe(true);
  expect(statSync(join(dir, 'a')).mode & 0o777).toBe(0o700);
  makeFolder(join(dir, 'a'), 0o755);
  expect(statSync(join(dir, 'a')).mode & 0o777).toBe(0o700);
  makeFolder('/');
});

test('a file in its place, or above it, is named', () => {
  const file = join(dir, 'file');
  writeFileSync(file, 'x');
  for (const folder of [file, join(file, 'below'), join(file, 'far', 'below')]) {
    expect(() => makeFolder(folder)).toThrow(
      expect.objectContaining({ code: 'storage', message: `The folder ${file} cannot be made: it is a file.` }),
    );
  }
});

test.skipIf(!existsSync('/proc/self'))(
  'a place that takes no folders is refused; the recursive mkdir of Node hangs there',
  () => {
    for (const folder of ['/proc/moraine', '/proc/moraine/deep/down']) {
      expect(() => makeFolder(folder)).toThrow(
        expect.objectContaining({
          code: 'storage',
          message: 'The folder /proc/moraine cannot be made: the folder above it takes none.',
          hint: expect.stringContaining('can be written'),
        }),
      );
    }
  },
);

test('nothing of the packages and apps makes folders otherwise', () => {
  const root = join(import.meta.dirname, '../../..');
  const sources = ['packages', 'apps'].flatMap((kind) =>
    readdirSync(join(root, kind)).flatMap((name) => {
      const src = join(root, kind, name, 'src');
      if (!existsSync(src)) return [];
      return readdirSync(src, { recursive: true, encoding: 'utf8' })
        .filter((file) => file.endsWith('.ts'))
        .map((file) => join(src, file));
    }),
  );
  const recursive = /\bmkdir(Sync)?\([^;]*recursive: true/;
  expect(sources.length).toBeGreaterThan(300);
  expect(sources.filter((file) => recursive.test(readFileSync(file, 'utf8')))).toEqual([]);
});
