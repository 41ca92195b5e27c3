import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { FLOAT32 } from '../../../packages/lm/test/bounds.js';
import { runJson } from '../child.js';
import type { GoldenRow } from '../golden-program.js';
import { largestDifference, tasksOf, worstOf } from '../tasks.js';
import { withoutStubs } from '../torch.js';

test('losses are compared relative to the second run, and runs of different length never agree', () => {
  expect(largestDifference([2, 4.04], [2, 4])).toBeCloseTo(0.01, 10);
  expect(largestDifference([2], [2, 4])).toBe(Number.POSITIVE_INFINITY);
  expect(largestDifference([], [])).toBe(Number.POSITIVE_INFINITY);
  expect(largestDifference([Number.NaN], [2])).toBeNaN();
});

test('the worst distance of the golden rows is found with its place; a number that is none is the worst', () => {
  const row = (name: string, losses: number, after = 4e-5): GoldenRow => ({
    name,
    distances: [
      ['evaluation', 1e-5, 'loss'],
      ['losses', losses, 'losses'],
      ['gradient norms', 3e-2, 'gradNorms'],
      ['q after the last step', after, 'parameters'],
    ],
  });
  const lora = row('lora', 2e-5);
  expect(worstOf([lora], FLOAT32, false)).toEqual({ value: 3e-2, limit: 1e-4, at: 'lora: gradient norms' });
  expect(worstOf([lora], FLOAT32, true)).toEqual({ value: 2e-5, limit: 1e-4, at: 'lora: losses' });
  // Each by its own bound: losses of few rows may be further off.
  const bounds = { ...FLOAT32, losses: 1e-5, sourceLosses: 1e-3 };
  const sources: GoldenRow = { name: 'kl', distances: [['loss of source rows', 5e-4, 'sourceLosses']] };
  expect(worstOf([sources, lora], bounds, true)).toEqual({ value: 2e-5, limit: 1e-5, at: 'lora: losses' });
  expect(worstOf([lora, row('mora', Number.NaN)], FLOAT32, false)).toMatchObject({ at: 'mora: losses' });
  const sent = JSON.parse(JSON.stringify(row('oft', 2e-5, Number.POSITIVE_INFINITY))) as GoldenRow;
  expect(worstOf([lora, sent], FLOAT32, false)).toMatchObject({
    value: Number.POSITIVE_INFINITY,
    at: 'oft: q after the last step',
  });
  expect(worstOf([], FLOAT32, false).value).toBe(Number.POSITIVE_INFINITY);
});

describe('the order of the tasks', () => {
  const torch = { python: 'python3', versions: {} };
  const of = (other: typeof torch | null) =>
    tasksOf({ kind: 'gpu', shapes: ['15m', '1b'], steps: 4, rounds: 2, torch: other, work: '/nowhere' });

  test('proofs first, then golden rows, and the largest shape after everything else', () => {
    const names = of(null).map(({ stage, name }) => `${stage} ${name.split(' ')[0]}`);
    expect(names.slice(0, 6)).toEqual([
      ...['first proof one', 'first proof three', ...Array(3).fill("golden rows PyTorch's"), 'training 15m'],
    ]);
    expect(names.indexOf('training 1b')).toBeGreaterThan(names.indexOf('memory 15'));
    expect(names.lastIndexOf('training 15m')).toBeLessThan(names.indexOf('decoding 15m,'));
  });

  test('both sides take turns where PyTorch is there', () => {
    const sides = of(torch)
      .filter(({ name }) => name.startsWith('15m lora, float32'))
      .map(({ side }) => side);
    expect(sides).toEqual(['moraine', 'PyTorch', 'moraine', 'PyTorch']);
    expect(of(null).some(({ side }) => side === 'PyTorch')).toBe(false);
    expect(of(torch).some(({ name, side }) => name.includes('mora-6') && side === 'PyTorch')).toBe(false);
  });
});

test('a child that fails or prints no figures says why, and one that takes too long is ended', async () => {
  const node = (script: string, timeoutMs = 20_000) => runJson(process.execPath, ['-e', script], { timeoutMs });
  expect(await node('console.log("log"); console.log(JSON.stringify({ a: 1 }))')).toEqual({
    value: { a: 1 },
    problem: '',
  });
  expect(await node('throw new Error("no card")')).toMatchObject({
    value: null,
    problem: expect.stringContaining('no card'),
  });
  expect(await node('')).toEqual({ value: null, problem: 'it ended with status 0' });
  const begun = performance.now();
  expect(await node('setInterval(() => {}, 1000)', 300.5)).toMatchObject({ value: null });
  expect(performance.now() - begun).toBeLessThan(10_000);
});

test('PyTorch is not given the libraries that stand in for CUDA’s', () => {
  expect(withoutStubs('/opt/cuda/lib:/app/stubs:/app/stubs/')).toEqual({ LD_LIBRARY_PATH: '/opt/cuda/lib' });
  expect(withoutStubs('')).toEqual({ LD_LIBRARY_PATH: '' });
});

test('a bundle gets every program that the test starts', () => {
  const folder = join(import.meta.dirname, '..');
  const { files } = JSON.parse(readFileSync(join(folder, 'tsconfig.bundle.json'), 'utf8')) as { files: string[] };
  const programs = readdirSync(folder).filter((name) => name.endsWith('-program.ts'));
  expect(programs.length).toBeGreaterThan(2);
  expect(files).toEqual(expect.arrayContaining(['test-gpu.ts', ...programs]));
});
