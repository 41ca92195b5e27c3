import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { EvaluationItem } from '@moraine/contract/suites';
import { readSuite } from '@moraine/data';
import { afterAll, describe, expect, it } from 'vitest';
import { evaluateItems, openModel } from '../src/index.js';

// Rows of our own and what lm_eval 0.4.13's Hugging Face back end and its own tasks make of them on examples/base:
// scripts/lm-eval/fixture.py. `npm run test:lm-eval` compares thousands of items on two bases.

type Reference = { scores: number[] } & Partial<Record<'acc' | 'acc_norm' | 'acc_bytes', number>>;

const fixture = <T>(name: string): T =>
  JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/lm-eval', name), 'utf8')) as T;
const rows = fixture<Record<string, unknown[]>>('rows.json');
const reference = fixture<Record<string, Reference[]>>('scores.json');
const baseDir = resolve(import.meta.dirname, '../../../examples/base');
const dir = mkdtempSync(join(tmpdir(), 'moraine-lm-eval-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** How far a log-likelihood may be off, and how near two choices are that may change places. */
const allowed = (score: number): number => 1e-4 + 1e-6 * Math.abs(score);
const TIE = 2e-4;
const LENGTHS = {
  acc: () => 1,
  acc_norm: (choice: string) => [...choice].length,
  acc_bytes: (choice: string) => Buffer.byteLength(choice),
};

async function score(suiteName: string): Promise<EvaluationItem[]> {
  const file = join(dir, `${suiteName}.jsonl`);
  writeFileSync(file, (rows[suiteName] ?? []).map((row) => `${JSON.stringify(row)}\n`).join(''));
  const { suite, items } = await readSuite({ suite: suiteName, file });
  const found: EvaluationItem[] = [];
  const model = await openModel({ baseDir, tunedDir: null, lambda: 1 });
  await evaluateItems({ model, suite, items }, (item) => void found.push(item));
  return found;
}

describe('lm_eval gives the same log-likelihoods and the same decisions', () => {
  it.each(Object.keys(reference))('%s', async (suite) => {
    const items = await score(suite);
    const theirs = reference[suite] ?? [];
    expect(items).toHaveLength(theirs.length);
    for (const [i, { scores = [], choices = [], metrics }] of items.entries()) {
      const other = theirs[i] as Reference;
      expect(scores).toHaveLength(other.scores.length);
      for (const [c, ll] of scores.entries())
        expect(Math.abs(ll - (other.scores[c] as number))).toBeLessThanOrEqual(allowed(ll));
      for (const [figure, lengthOf] of Object.entries(LENGTHS)) {
        const wanted = other[figure as keyof typeof LENGTHS];
        const ranked = scores.map((ll, c) => ll / lengthOf(choices[c] ?? '')).sort((a, b) => b - a);
        if (wanted !== undefined && (ranked[0] as number) - (ranked[1] as number) > TIE)
          expect(metrics[figure]).toBe(wanted);
      }
    }
  });

  it('on fifty items, some of which lose their beginning', () => {
    expect(Object.values(reference).flat()).toHaveLength(50);
    expect(JSON.stringify(rows.pubmedqa).length).toBeGreaterThan(8 * 256);
  });
});
