import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { partBytes } from '../../src/commands/bundle.js';
import { moraineOnce } from '../stack.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine bundle '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a size has a unit and is at least a mebibyte', () => {
  expect(partBytes('48M')).toBe(48 * 2 ** 20);
  expect(partBytes('2048K')).toBe(2 ** 21);
  expect(partBytes('2G')).toBe(2 ** 31);
  for (const bad of ['48', '48MB', '0M', '1K', '1.5M', '-1M', ''])
    expect(() => partBytes(bad), bad).toThrow(/--part-size/);
});

test.each([
  [['--out', 'x'], 'A bundle is made with --cpu or with --cuda.'],
  [['--cpu', '--cuda', '--out', 'x'], 'A bundle is made with --cpu or with --cuda.'],
  [['--cpu'], '--out'],
  [['--cpu', '--out', 'x', '--part-size', 'big'], "--part-size is 'big', which is not a size from 1M."],
  [['--cpu', '--out', 'x', '--slimm'], "Did you mean '--slim'?"],
])('bundle %j is refused with status 2', async (words, message) => {
  const { status, output } = await moraineOnce(['bundle', ...words]);
  expect(output).toContain(message);
  expect(status).toBe(2);
});

test('a folder that holds something else is not cleared', async () => {
  writeFileSync(path.join(dir, 'thesis.txt'), 'mine');
  writeFileSync(path.join(dir, 'app.tar.br.000'), 'old');
  const { status, output } = await moraineOnce(['bundle', '--cpu', '--slim', '--out', dir]);
  expect(output).toContain(`${dir} holds thesis.txt, which is no part of a bundle.`);
  expect(status).toBe(2);
  expect(readdirSync(dir).sort()).toEqual(['app.tar.br.000', 'thesis.txt']);
});
