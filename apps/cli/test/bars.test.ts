import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, describe, expect, test } from 'vitest';
import { type Bars, showBars } from '../src/demo/bars.js';
import { type WatchedRun, watched } from '../src/demo/watch.js';
import { type Screen, shownLines, watchScreen } from './screen.js';

let screen: Screen | null = null;
let bars: Bars | null = null;
afterEach(() => {
  bars?.close();
  screen?.close();
  [bars, screen] = [null, null];
});
const runOf = (more: Partial<WatchedRun>): WatchedRun => ({ ...watched('LoRA', { id: 'r' }, 100), ...more });
const trained = { status: 'running', step: 50, loss: 1.25, tokensPerSecond: 1234.5, stepMs: 200 } as const;

/** What a terminal of so many columns shows of runs, once. */
function linesOn(columns: number | null, ...runs: WatchedRun[]): string[] {
  screen = watchScreen(columns);
  try {
    showBars(runs).close();
    return shownLines(screen.text()).slice(0, -1);
  } finally {
    screen.close();
  }
}

describe('a line says of a run', () => {
  test.each<[string, Partial<WatchedRun>, string]>([
    ['that it is queued', {}, '  0/100  queued'],
    ['why it waits', { note: 'No worker is free.' }, '  0/100  No worker is free.'],
    ['its loss, speed and time left', trained, ' 50/100  loss 1.2500  1,235 tokens/s  10 s left'],
    [
      'that it evaluates after the last step',
      { ...trained, step: 100 },
      '100/100  loss 1.2500  1,235 tokens/s  evaluating',
    ],
    ['that it is done', { ...trained, status: 'succeeded', step: 100 }, '100/100  loss 1.2500  1,235 tokens/s  done'],
    ['why it failed', { status: 'failed', note: 'no memory' }, '  0/100  failed: no memory'],
    ['that it was cancelled', { status: 'cancelled' }, '  0/100  cancelled'],
  ])('%s', (_what, run, words) => {
    expect(linesOn(null, runOf(run))[0]?.slice(40)).toBe(words);
  });

  test('how much of it is done, as a bar of 24', () => {
    const filled = (step: number, steps = 100) =>
      linesOn(null, runOf({ step, steps }))[0]?.replaceAll(/[^━]/g, '').length;
    expect([filled(0), filled(50), filled(100), filled(120), filled(0, 0)]).toEqual([0, 12, 24, 24, 0]);
  });
});

test.each([100, 80, 50, 30])('a line fits a terminal of %d columns and is cut with a sign', (columns) => {
  const [line = ''] = linesOn(columns, runOf({ status: 'failed', note: 'x'.repeat(200) }));
  expect(line.length).toBeLessThan(columns);
  expect(line.endsWith('…')).toBe(true);
});

test('on a terminal the block is drawn in place and a note goes above it', async () => {
  screen = watchScreen(100);
  const runs = [runOf({ label: 'one' }), runOf({ label: 'two' })];
  bars = showBars(runs);
  bars.note('the worker was started again');
  Object.assign(runs[1] ?? {}, trained);
  await expect.poll(() => screen?.text()).toContain('50/100');
  const size = screen.text().length;
  await sleep(400);
  expect(screen.text().length).toBe(size);
  bars.close();
  bars = null;
  const lines = shownLines(screen.text());
  expect(lines.map((line) => line.replaceAll(/[━─]+ */g, '| '))).toEqual([
    'the worker was started again',
    'one            | 0/100  queued',
    'two            | 50/100  loss 1.2500  1,235 tokens/s  10 s left',
    '',
  ]);
  expect(screen.text().endsWith('\u001b[?25h')).toBe(true);
});

test('without a terminal a run has a line at the start, each tenth and at the end', async () => {
  screen = watchScreen(null);
  const run = runOf({});
  bars = showBars([run]);
  const linesNow = () => screen?.text().trimEnd().split('\n').length ?? 0;
  await expect.poll(() => screen?.text()).toContain('0/100  queued');
  for (const [step, lines] of [
    [5, 1],
    [10, 2],
    [19, 2],
    [20, 3],
  ] as const) {
    Object.assign(run, { step, status: 'queued' });
    await sleep(200);
    expect(linesNow(), `step ${step}`).toBe(lines);
  }
  run.status = 'succeeded';
  bars.close();
  bars = null;
  expect(linesNow()).toBe(4);
  expect(screen.text()).toMatch(/done\n$/);
});
