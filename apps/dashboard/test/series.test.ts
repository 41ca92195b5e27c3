import type { RunMetrics } from '@moraine/contract';
import { describe, expect, it } from 'vitest';
import { type Bucket, coarsen, limitBuckets, newest, type Series } from '../src/series/bucket.js';
import { readChartView } from '../src/series/chart-view.js';
import { alignLines, rawLine, smoothLine, valueAt, withDetail } from '../src/series/lines.js';
import { MetricStore } from '../src/series/metric-store.js';
import { stepRange, valueRange } from '../src/series/range.js';
import { readSeries, stepsText } from '../src/series/readout.js';
import { smooth } from '../src/series/smooth.js';
import { linearTicks, logTicks, tickTexts } from '../src/series/ticks.js';

const point = (step: number, value: number): Bucket => ({
  step,
  n: 1,
  mean: value,
  min: value,
  max: value,
  last: value,
});
const raw = (values: readonly number[], from = 0): Series => ({
  every: 1,
  points: values.map((value, at) => point(from + at, value)),
});
const noisy = (count: number): number[] =>
  Array.from({ length: count }, (_, at) => 2 * Math.exp(-at / 900) + 0.3 * Math.sin(at * 12.9898));

const metrics = (series: RunMetrics['series'], lastEventId = '1-0'): RunMetrics => ({
  object: 'run.metrics',
  run_id: 'ftjob-x',
  last_event_id: lastEventId,
  series,
});

describe('buckets', () => {
  it('a spike of one step keeps its height at every resolution', () => {
    const values = noisy(20_000);
    values[12_345] = 99;
    values[777] = -99;
    for (const every of [2, 16, 256, 4096]) {
      const { points } = coarsen(raw(values), every);
      expect(Math.max(...points.map(({ max }) => max))).toBe(99);
      expect(Math.min(...points.map(({ min }) => min))).toBe(-99);
    }
  });

  it('coarsening loses no value: counts add up and the mean of all stays', () => {
    const values = noisy(1000);
    const { points } = coarsen(raw(values), 64);
    expect(points.reduce((sum, { n }) => sum + n, 0)).toBe(1000);
    const mean = points.reduce((sum, { n, mean }) => sum + n * mean, 0) / 1000;
    expect(mean).toBeCloseTo(values.reduce((sum, value) => sum + value, 0) / 1000, 12);
    expect(newest({ every: 64, points })?.value).toBe(values.at(-1));
  });

  it('coarsening twice is coarsening once, so a growing chart does not shimmer', () => {
    const series = raw(noisy(999));
    const twice = coarsen(coarsen(series, 8), 32);
    const once = coarsen(series, 32);
    expect(twice.points.map(({ step, n, min, max, last }) => [step, n, min, max, last])).toEqual(
      once.points.map(({ step, n, min, max, last }) => [step, n, min, max, last]),
    );
  });

  it('a series is halved until it fits', () => {
    const fitted = limitBuckets(raw(noisy(5000)), 1000);
    expect(fitted.every).toBe(8);
    expect(fitted.points).toHaveLength(625);
  });
});

describe('smoothing', () => {
  it('a zoom moves no part of the curve', () => {
    const whole = coarsen(raw(noisy(20_000)), 16);
    const detail: Series = { every: 1, points: raw(noisy(20_000)).points.slice(9000, 9400) };
    const before = smoothLine(whole, 200, false);
    // What is drawn in the window changes from buckets to points; the curve is the one of the whole run.
    expect(withDetail(whole, detail, [9000, 9399]).points).toHaveLength(400);
    expect(smoothLine(whole, 200, false)).toEqual(before);
    expect(smoothLine(withDetail(whole, detail, [9000, 9399]), 200, false).y[0]).not.toBeCloseTo(
      valueAt(before, 9000) ?? 0,
      3,
    );
  });

  it('the curve of buckets is the curve of their points, up to the width of a bucket', () => {
    const series = raw(noisy(20_000));
    const fine = smooth(series, 400);
    const coarse = smooth(coarsen(series, 16), 400);
    const worst = Math.max(
      ...coarse.x.map((x, at) => Math.abs((coarse.y[at] ?? 0) - (fine.y[Math.round(x)] ?? 0))).slice(40),
    );
    expect(worst).toBeLessThan(0.02);
  });

  it('weighs by steps and not by samples', () => {
    // One value 100 steps after another counts as if the steps between were passed: after a half-life, half.
    const { y } = smooth({ every: 1, points: [point(0, 0), point(100, 1)] }, 100);
    // Weights 1/2 (of the old) and 1: (0 * 0.5 + 1) / 1.5.
    expect(y).toEqual([0, 1 / 1.5]);
  });

  it('starts at the first value, without a pull towards zero', () => {
    expect(smooth(raw([5, 5, 5]), 50).y).toEqual([5, 5, 5]);
  });

  it('a half-life of 0 is the raw line', () => {
    expect(smooth(raw([3, 1, 2]), 0).y).toEqual([3, 1, 2]);
  });

  it('a value that is no number does not spoil what follows', () => {
    const { y } = smooth(raw([1, Number.NaN, 1]), 10);
    expect(y[2]).toBeCloseTo(1, 12);
  });
});

describe('lines', () => {
  it('a value that is no number breaks the line, smoothed or not, and an axis of logarithms too', () => {
    const series: Series = { ...raw([4, 3, 2, 1].filter((_, at) => at !== 2)), gaps: [{ step: 2, value: 'NaN' }] };
    const points = [point(0, 4), point(1, 3), point(3, 1)];
    expect(rawLine({ ...series, points }, false)).toEqual({ x: [0, 1, 2, 3], y: [4, 3, null, 1] });
    expect(smoothLine({ ...series, points }, 5, true).y.map((y) => y === null)).toEqual([false, false, true, false]);
    const coarse = coarsen({ every: 1, points: raw([4, 9, 1, 6, 2, 8, 3, 7]).points }, 4);
    const line = rawLine({ ...coarse, gaps: [{ step: 0, value: 'Infinity' }] }, false);
    expect(line.y).toEqual([1, 9, 6, null, 2, 8, 7]);
    expect(line.x.every((x, at) => at === 0 || x > (line.x[at - 1] ?? 0))).toBe(true);
  });

  it('a legend never gives one value of a bucket as that of a step', () => {
    const fine = raw([4, 9, 1, 6]);
    expect([0, 1, 2.4, 99].map((step) => readSeries(fine, step, 99))).toEqual(['4.000', '9.000', '1.000', '6.000']);
    expect(readSeries(coarsen(fine, 4), 1, 3)).toBe('mean 5.000, 1.00–9.00');
    expect(readSeries(coarsen(fine, 4), null, 3)).toBe('6.000');
    expect([stepsText(fine, 2), stepsText(coarsen(fine, 4), 2)]).toEqual(['step 2', 'steps 0–3']);
    const marked: Series = { ...fine, gaps: [{ step: 4, value: 'NaN' }] };
    expect([3, 4, 5, null].map((step) => readSeries(marked, step, 9))).toEqual(['6.000', 'NaN', '6.000', 'NaN']);
    expect(readSeries({ every: 1, points: [] }, 3, 9)).toBe('–');
  });

  it('a bucket shows its minimum and maximum and ends at its last value', () => {
    const line = rawLine(coarsen(raw([4, 9, 1, 6]), 4), false);
    expect(line.y).toEqual([1, 9, 6]);
    expect(line.x.every((x, at) => at === 0 || x > (line.x[at - 1] ?? 0))).toBe(true);
    expect(line.x.at(-1)).toBeLessThan(4);
  });

  it('a logarithmic axis leaves out what it cannot show', () => {
    expect(rawLine(raw([1, 0, -2, 10]), true).y).toEqual([1, null, null, 10]);
  });

  it('lines of different steps share one axis', () => {
    const [x, train, valid] = alignLines([rawLine(raw([3, 2, 1]), false), { x: [1], y: [2.5] }]);
    expect(x).toEqual([0, 1, 2]);
    expect(train).toEqual([3, 2, 1]);
    expect(valid).toEqual([undefined, 2.5, undefined]);
  });

  it('the value at a step is the newest at or before it', () => {
    const line = { x: [1, 5, 9], y: [10, 50, 90] };
    expect([valueAt(line, 0), valueAt(line, 5), valueAt(line, 8.9), valueAt(line, 100)]).toEqual([null, 50, 50, 90]);
  });
});

describe('axes', () => {
  it('the step axis grows by doubling and ends at the end of the run', () => {
    expect(stepRange(0, 150)).toEqual([0, 19]);
    expect(stepRange(30, 150)).toEqual([0, 38]);
    expect(stepRange(31, 150)).toEqual(stepRange(36, 150));
    expect(stepRange(140, 150)).toEqual([0, 150]);
    expect(stepRange(20_000, 20_000)).toEqual([0, 20_000]);
    expect(stepRange(3, 2)).toEqual([0, 3]);
  });

  it('ignoring outliers lets go of the tails and nothing else', () => {
    const values = [...Array.from({ length: 98 }, (_, at) => 1 + at / 98), 1000, -1000];
    const [low, high] = valueRange(values, { log: false, ignoreOutliers: true }) ?? [0, 0];
    expect(low).toBeGreaterThan(0.9);
    expect(high).toBeLessThan(2.1);
    expect(valueRange(values, { log: false, ignoreOutliers: false })?.[1]).toBeGreaterThan(1000);
  });

  it('has no range without values, and air around a single one', () => {
    expect(valueRange([], { log: false, ignoreOutliers: false })).toBeNull();
    expect(valueRange([-1], { log: true, ignoreOutliers: false })).toBeNull();
    expect(valueRange([5], { log: false, ignoreOutliers: false })).toEqual([4.5, 5.5]);
    expect(valueRange([0, 0], { log: false, ignoreOutliers: false })).toEqual([0, 1]);
  });

  it('ticks are round and inside', () => {
    expect(linearTicks(0.13, 1.02, 5)).toEqual([0.2, 0.4, 0.6, 0.8, 1]);
    expect(logTicks(0.0009, 12, 6)).toEqual([0.001, 0.01, 0.1, 1, 10]);
    expect(logTicks(0.5, 3.4, 6)).toEqual([0.5, 1, 2]);
    expect(logTicks(9.1e-4, 1.2e-3, 4)).toEqual([1e-3, 1.1e-3, 1.2e-3]);
    expect(logTicks(1e-9, 1e9, 4).length).toBeLessThanOrEqual(5);
  });

  it('logarithmic ticks end for any range (uPlot’s own do not)', () => {
    for (let at = 0; at < 2000; at++) {
      const low = 10 ** (at / 100 - 12) * 1.2345;
      expect(logTicks(low, low * (1.0001 + (at % 7) * 31), 8).length).toBeLessThanOrEqual(9);
    }
  });

  it('all labels of an axis are written alike', () => {
    expect(tickTexts([0, 5e-4, 1e-3, 1.5e-3])).toEqual(['0', '5e-4', '1e-3', '1.5e-3']);
    expect(tickTexts([0, 5000, 20_000])).toEqual(['0', '5 k', '20 k']);
    expect(tickTexts([0, 0.5, 1])).toEqual(['0', '0.5', '1']);
  });
});

describe('the metric store', () => {
  const loaded = (): MetricStore => {
    const store = new MetricStore();
    store.load(metrics([{ name: 'train_loss', every: 1, points: [point(1, 3), point(2, 2)] }]));
    return store;
  };

  it('takes each step once, whatever comes again after a reconnection', () => {
    const store = loaded();
    expect(store.append({ step: 2, attempt: 1, values: { train_loss: 99 } })).toBe(false);
    expect(store.append({ step: 3, attempt: 1, values: { train_loss: 1 } })).toBe(true);
    expect(store.append({ step: 3, attempt: 1, values: { train_loss: 1 } })).toBe(false);
    expect(store.get('train_loss').points.map(({ step, last }) => [step, last])).toEqual([
      [1, 3],
      [2, 2],
      [3, 1],
    ]);
  });

  it('a new attempt replaces the steps that it takes again, and the old one is not heard any more', () => {
    const store = loaded();
    store.append({ step: 3, attempt: 1, values: { train_loss: 1 } });
    store.append({ step: 2, attempt: 2, values: { train_loss: 2.5 } });
    expect(store.append({ step: 4, attempt: 1, values: { train_loss: 0.5 } })).toBe(false);
    expect(store.get('train_loss').points.map(({ last }) => last)).toEqual([3, 2.5]);
  });

  it('a validation value may come after the training value of its step', () => {
    const store = loaded();
    store.append({ step: 3, attempt: 1, values: { train_loss: 1 } });
    expect(store.append({ step: 3, attempt: 1, values: { valid_loss: 1.5 } })).toBe(true);
    expect(store.last('valid_loss')).toBe(1.5);
  });

  it('goes on filling the buckets that the server made', () => {
    const store = new MetricStore();
    store.load(
      metrics([
        {
          name: 'train_loss',
          every: 4,
          points: [
            { step: 0, n: 4, mean: 2, min: 1, max: 3, last: 1 },
            { step: 4, n: 2, mean: 1, min: 1, max: 1, last: 1 },
          ],
        },
      ]),
    );
    expect(store.isCoarse).toBe(true);
    expect(store.append({ step: 5, attempt: 1, values: { train_loss: 9 } })).toBe(false);
    store.append({ step: 6, attempt: 1, values: { train_loss: 9 } });
    store.append({ step: 9, attempt: 1, values: { train_loss: 7 } });
    expect(store.get('train_loss').points.map(({ step, n, max }) => [step, n, max])).toEqual([
      [0, 4, 3],
      [4, 3, 9],
      [8, 1, 7],
    ]);
  });

  it('a long live run stays within its buckets and keeps its spike', () => {
    const store = new MetricStore(500);
    for (let step = 1; step <= 20_000; step++)
      store.append({ step, attempt: 1, values: { loss: step === 4321 ? 50 : 1 } });
    const { points } = store.get('loss');
    expect(points.length).toBeLessThanOrEqual(500);
    expect(points.reduce((sum, { n }) => sum + n, 0)).toBe(20_000);
    expect(Math.max(...points.map(({ max }) => max))).toBe(50);
    expect(store.newestStep).toBe(20_000);
  });
});

describe('the view in the URL', () => {
  it('reads back what it says, and falls back where it makes no sense', () => {
    expect(readChartView(new URLSearchParams('smooth=5&log=1&outliers=ignored&steps=100-400'))).toEqual({
      smoothing: 5,
      isLog: true,
      ignoreOutliers: true,
      window: [100, 400],
    });
    expect(readChartView(new URLSearchParams('smooth=99&log=yes&steps=400-100'))).toEqual({
      smoothing: 3,
      isLog: false,
      ignoreOutliers: false,
      window: null,
    });
  });
});
