import type { DoctorReport } from '@moraine/engine/install';
import { expect, test } from 'vitest';
import type { BenchRun } from '../bench-run.js';
import { type Comparison, isWithin, largestDifference } from '../numerics.js';
import { gpuReport } from '../report.js';

const comparison = (what: string, difference: number | null, limit: number | null): Comparison => ({
  what,
  method: 'lora',
  difference,
  limit,
  problem: difference === null ? 'out of memory' : '',
});

test('losses are compared relative to the second run, and runs of different length never agree', () => {
  expect(largestDifference([2, 4.04], [2, 4])).toBeCloseTo(0.01, 10);
  expect(largestDifference([2], [2, 4])).toBe(Number.POSITIVE_INFINITY);
  expect(largestDifference([], [])).toBe(Number.POSITIVE_INFINITY);
  expect(largestDifference([Number.NaN], [2])).toBeNaN();
});

test('a run that failed or gave no number is never within its limit, and one without a limit is only reported', () => {
  expect(isWithin(comparison('a', 1e-5, 1e-4))).toBe(true);
  expect(isWithin(comparison('a', 1e-3, 1e-4))).toBe(false);
  expect(isWithin(comparison('a', null, null))).toBe(false);
  expect(isWithin(comparison('a', Number.NaN, 1e-4))).toBe(false);
  expect(isWithin(comparison('a', 0.5, null))).toBe(true);
});

test('the page names what is over its limit, what failed, and that a machine without a driver proves nothing', () => {
  const machine = { node: '20', platform: 'linux-x64', processor: 'P', cores: 2, nvidia: null, device: null };
  const failed: BenchRun = {
    args: ['--shape', '1b', '--mode', 'xla'],
    env: {},
    figures: null,
    problem: 'no',
    cardMb: null,
  };
  const page = gpuReport({
    machine: machine as unknown as DoctorReport,
    golden: { passed: 41, failed: 1, problems: ['mora-6: logits'] },
    comparisons: [comparison('eager and traced', 2e-3, 1e-4), comparison('XLA and traced', null, 1e-3)],
    runs: [failed],
  });
  expect(page).toContain('41 tests passed, 1 failed.\n- mora-6: logits');
  expect(page).toContain('| eager and traced | 2.0e-3 (over) | 1e-4 |');
  expect(page).toContain('| XLA and traced | failed: out of memory | 1e-3 |');
  expect(page).toContain('| 1b | xla | failed: no |');
  expect(page).toContain('no NVIDIA driver: this run shows only that the script works');
});
