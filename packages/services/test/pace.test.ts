import { describe, expect, test } from 'vitest';
import { advancePace, type Pace, type TimedStep, timeLeft } from '../src/training/pace.js';

interface Shape {
  steps: number;
  /** Time of one step, milliseconds. */
  stepMs(step: number): number;
  /** Most steps that come in one batch: the outbox sends what has gathered. */
  batch: number;
  /** Steps of a batch bear the time at which it was stored, as an old worker sends them. */
  isCoarse?: boolean;
  from?: number;
  /** Seconds that one event beside the steps takes: so much may be missing at the very end. */
  lumpS?: number;
}

/** Deterministic noise in [-1, 1]. */
const wobble = (n: number): number => Math.sin(n * 12.9898) * Math.cos(n * 78.233);

/** What is said to be left after each batch, and what really is. */
function simulate({ steps, stepMs, batch, isCoarse = false, from = 0 }: Shape) {
  const timed: TimedStep[] = [];
  let at = 1_700_000_000_000;
  for (let step = from + 1; step <= steps; step++) {
    at += stepMs(step);
    timed.push({ step, at });
  }
  const end = at;
  let pace: Pace | null = null;
  const said: { share: number; left: number; seconds: number; low: number; high: number }[] = [];
  for (let first = 0, size = 1; first < timed.length; first += size) {
    size = 1 + (Math.abs(Math.floor(wobble(first) * 1000)) % batch);
    const part = timed.slice(first, first + size);
    const last = part.at(-1);
    if (!last) break;
    const sent = isCoarse ? part.map(({ step }) => ({ step, at: last.at })) : part;
    pace = advancePace(pace, 1, sent);
    const left = timeLeft(pace, last.step, steps);
    if (left)
      said.push({
        share: (last.step - from) / (steps - from),
        left: (end - last.at) / 1000,
        seconds: left.seconds,
        low: left.range[0],
        high: left.range[1],
      });
  }
  return said;
}

const even = (ms: number) => (step: number) => ms * (1 + 0.15 * wobble(step));

describe('time left of an even run is never off by more than 30 % in its last nine tenths', () => {
  test.each<[string, Shape]>([
    ['20,000 steps of 50 ms in large batches', { steps: 20_000, stepMs: even(50), batch: 40 }],
    ['2,000 steps of 400 ms', { steps: 2000, stepMs: even(400), batch: 3 }],
    ['150 steps of 2 s, each alone', { steps: 150, stepMs: even(2000), batch: 1 }],
    ['20 steps of 90 s', { steps: 20, stepMs: even(90_000), batch: 1 }],
    [
      'a first step that takes 50 times as long',
      { steps: 400, stepMs: (n) => (n === 1 ? 20_000 : even(400)(n)), batch: 2 },
    ],
    ['batches that bear one time', { steps: 3000, stepMs: even(60), batch: 30, isCoarse: true }],
    ['an attempt that goes on from step 700', { steps: 1000, stepMs: even(300), batch: 3, from: 700 }],
    [
      'an evaluation of 20 steps’ time every 40 steps',
      { steps: 4000, stepMs: (n) => even(100)(n) + (n % 40 === 0 ? 2000 : 0), batch: 5, lumpS: 2.2 },
    ],
  ])('%s', (_, shape) => {
    const late = simulate(shape).filter(({ share, left }) => share >= 0.1 && left > 0);
    expect(late.length).toBeGreaterThan(10);
    for (const { share, left, seconds, low, high } of late) {
      expect(Math.abs(seconds - left), `at ${share}`).toBeLessThan(Math.max(0.3 * left, shape.lumpS ?? 0));
      expect(low).toBeLessThan(seconds);
      expect(high).toBeGreaterThan(seconds);
    }
  });
});

test('what is said moves slowly: within 18 s of an even run by less than a tenth', () => {
  const said = simulate({ steps: 4000, stepMs: even(400), batch: 12 }).filter(
    ({ share }) => share > 0.1 && share < 0.9,
  );
  for (const [at, { left, seconds }] of said.entries()) {
    const later = said[at + 5];
    if (!later) break;
    const passed = left - later.left;
    expect(Math.abs(seconds - passed - later.seconds) / later.seconds).toBeLessThan(0.1);
  }
});

test('a run that becomes three times slower is said to take between the old pace and the new', () => {
  const said = simulate({ steps: 1000, stepMs: (step) => (step < 500 ? 200 : 600), batch: 2 });
  for (const { left, low, high } of said.filter(({ share }) => share > 0.75 && share < 0.95)) {
    expect(low).toBeLessThan(left);
    expect(high).toBeGreaterThan(left * 0.8);
  }
});

test('nothing is said before two steps were timed, and batches that come twice change nothing', () => {
  const first = advancePace(null, 1, [{ step: 1, at: 1000 }]);
  expect(timeLeft(first, 1, 10)).toBeNull();
  const batch = [
    { step: 2, at: 1500 },
    { step: 3, at: 2000 },
  ];
  const second = advancePace(first, 1, batch);
  expect(timeLeft(second, 3, 10)?.seconds).toBeCloseTo(3.5, 6);
  expect(advancePace(second, 1, batch)).toEqual(second);
  expect(advancePace(second, 2, [{ step: 3, at: 90_000 }])).toMatchObject({ attempt: 2, firstStep: 3 });
});
