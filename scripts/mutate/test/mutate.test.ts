import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { mutations } from '../mutations.mjs';
import { mutated, tryMutation } from '../run.mjs';
import { table } from '../table.mjs';

const folder = mkdtempSync(path.join(tmpdir(), 'moraine mutate '));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const mutation = { name: 'm', file: 'a.ts', find: 'a + b', replace: 'a - b', testFile: 'a.test.ts', test: 'adds' };
const source = 'export const f = (a, b) => a + b;\n';

/** What comes of a mutation where its test ends so, undefined: did not run; and what the source was meanwhile. */
function outcomeOf(status: string | undefined, change = {}, text = source): { outcome: string; seen: string } {
  writeFileSync(path.join(folder, 'a.ts'), text);
  let seen = '';
  const run = () => {
    seen = readFileSync(path.join(folder, 'a.ts'), 'utf8');
    return new Map(status === undefined ? [] : [['adds', status]]);
  };
  const { outcome } = tryMutation(folder, { ...mutation, ...change }, run as never);
  expect(readFileSync(path.join(folder, 'a.ts'), 'utf8')).toBe(text);
  return { outcome, seen };
}

test('a mutation is killed only by its own test, which sees the mutated source, and the source is put back', () => {
  expect(outcomeOf('failed')).toEqual({ outcome: 'killed', seen: source.replace('+', '-') });
  expect(outcomeOf('passed').outcome).toBe('survived');
  expect(outcomeOf(undefined).outcome).toBe('survived');
});

test('a text that is not there, is there twice, or stays as it is, is a mismatch, and no test runs', () => {
  expect(outcomeOf('failed', { find: 'a * b' })).toEqual({ outcome: 'mismatch', seen: '' });
  expect(outcomeOf('failed', {}, source + source)).toEqual({ outcome: 'mismatch', seen: '' });
  expect(outcomeOf('failed', { replace: 'a + b' })).toEqual({ outcome: 'mismatch', seen: '' });
  expect(outcomeOf('failed', { file: 'a.ts', find: 'gone' }, '').outcome).toBe('mismatch');
});

test('every mutation has its place in the code as it is, once', () => {
  const root = path.resolve(import.meta.dirname, '../../..');
  const moved = mutations.flatMap((one) => {
    try {
      mutated(readFileSync(path.join(root, one.file), 'utf8'), one);
      return [];
    } catch (error) {
      return [String(error)];
    }
  });
  expect(moved).toEqual([]);
});

test('every mutation has a name of its own, and the table a row for it', () => {
  expect(new Set(mutations.map(({ name }) => name)).size).toBe(mutations.length);
  expect(mutations.length).toBeGreaterThanOrEqual(25);
  const rows = table(mutations.map((found) => ({ ...found, outcome: 'killed', seconds: 1 })));
  expect(rows.match(/^\| .* \| 1\.0 \|$/gm)).toHaveLength(mutations.length);
});
