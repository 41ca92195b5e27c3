import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DoctorReport } from '@moraine/engine/install';
import { expect, test } from 'vitest';
import { median, pageOf, type Result, type Surroundings, writeRecord } from '../record.js';

const around: Surroundings = {
  machine: {
    platform: 'linux-x64',
    processor: 'P',
    cores: 2,
    nvidia: null,
    device: { name: 'Card' },
  } as unknown as DoctorReport,
  torch: 'no Python was found',
  versions: { Node: '20' },
  command: 'npm run test:gpu',
};
const result = (change: Partial<Result>): Result => ({
  ...{ stage: 'training', name: '15m lora', side: 'moraine', isRight: true, figures: {}, problem: '', seconds: 1 },
  ...change,
});

test('the page says what is wrong, what was not judged and why, and that a machine without a driver proves nothing', () => {
  const page = pageOf(around, [
    result({
      stage: 'golden rows',
      name: 'bf16',
      side: '',
      isRight: false,
      figures: { difference: 2e-3, limit: 1e-4 },
    }),
    result({ isRight: null, problem: 'a\nno time | was left' }),
  ]);
  expect(page).toContain('2 results, 1 wrong, 1 not judged.');
  expect(page).toContain('| bf16 |  | 2.0e-3 | 1.0e-4 | 1.0 | WRONG |');
  expect(page).toContain('not judged: no time / was left |');
  expect(page).toContain('no NVIDIA driver: this run shows only that the test works');
  expect(page).toContain('not compared with PyTorch (no Python was found)');
});

test('both sides are compared by the medians of their rounds, and only where both have figures', () => {
  const speeds = (side: string, ...values: number[]): Result[] =>
    values.map((value) => result({ side, figures: { tokens_per_second: value } }));
  const alone = result({ name: '15m full', figures: { tokens_per_second: 5 } });
  const page = pageOf(around, [...speeds('moraine', 100, 300, 120), ...speeds('PyTorch', 60), alone]);
  expect(page).toContain('| 15m lora, training | 120 | 60 | 2.00 |');
  expect(page).not.toContain('| 15m full, training');
  expect(median([])).toBeNull();
  expect(median([1, 2])).toBe(1.5);
});

test('every result is in both files as soon as it is there', () => {
  const out = mkdtempSync(join(tmpdir(), 'moraine-record-'));
  try {
    for (const results of [[result({})], [result({}), result({ name: 'second' })]]) {
      writeRecord(out, around, results);
      const { results: written } = JSON.parse(readFileSync(join(out, 'figures.json'), 'utf8')) as { results: Result[] };
      expect(written).toEqual(results);
      expect(readFileSync(join(out, 'README.md'), 'utf8')).toContain(results.at(-1)?.name);
    }
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
});
