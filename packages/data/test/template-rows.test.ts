import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { writeBases } from '../../../scripts/conversations/generate.js';
import {
  GOLDEN,
  type GoldenRow,
  oursOf,
  ownCases,
  rowLines,
  SHARED,
  sharedCases,
} from '../../../scripts/conversations/rows.js';
import { sharedData } from './shared-data.js';

// Every expected number is of transformers' apply_chat_template: scripts/conversations/rows.py.
const bases = mkdtempSync(join(tmpdir(), 'moraine-rows-'));
afterAll(() => rmSync(bases, { recursive: true, force: true }));
writeBases(bases);
const golden = JSON.parse(readFileSync(GOLDEN, 'utf8')) as Record<string, GoldenRow[]>;
const models = ownCases(bases);
const shared = sharedData() === null ? [] : sharedCases(bases);

describe('system, turns, unicode, weights, calls and reasoning make the ids and labels of apply_chat_template', () => {
  test.each(models)('under $name ($like)', async (one) => {
    expect(await oursOf(one)).toEqual(golden[one.name]);
  });

  test.runIf(shared.length > 0).each(SHARED)('under the template of %s in the shared data', async (name) => {
    const one = shared.find((each) => each.name === name);
    expect(one && (await oursOf(one))).toEqual(golden[name]);
  });
});

test('the golden rows say something: most are taken, some learn several answers, some make several rows', () => {
  const all = models.flatMap(({ name }) => golden[name] ?? []);
  expect(all).toHaveLength(models.length * rowLines.length);
  const taken = all.flatMap((row) => (row === null ? [] : [row]));
  expect(taken.length).toBeGreaterThan(0.9 * all.length);
  expect(taken.flat().every(({ ids, learned }) => learned.every(([from, to]) => from < to && to <= ids.length))).toBe(
    true,
  );
  expect(Math.max(...taken.flat().map(({ learned }) => learned.length))).toBe(3);
  expect(Math.max(...taken.map((rows) => rows.length))).toBeGreaterThan(1);
});
