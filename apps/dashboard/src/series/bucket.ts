import type { MetricSeries } from '@moraine/contract';

/** `n` values of one metric in the steps `[step, step + every)`. */
export type Bucket = MetricSeries['points'][number];

export interface Series {
  every: number;
  points: readonly Bucket[];
}

export const EMPTY_SERIES: Series = { every: 1, points: [] };

/** Two buckets as one. Minimum, maximum, count and mean are exact; `last` is that of the later bucket. */
export function joinBuckets(a: Bucket, b: Bucket): Bucket {
  const n = a.n + b.n;
  return {
    step: a.step,
    n,
    mean: (a.mean * a.n + b.mean * b.n) / n,
    min: Math.min(a.min, b.min),
    max: Math.max(a.max, b.max),
    last: b.last,
  };
}

/**
 * Coarsens a series to buckets that start at multiples of `every`, so that the same steps always share a bucket: a chart that grows
 * does not shimmer. Nothing is dropped, and so no spike vanishes. An empty bucket leaves no point.
 */
export function coarsen(series: Series, every: number): Series {
  if (every <= series.every) return series;
  const points: Bucket[] = [];
  for (const bucket of series.points) {
    const start = Math.floor(bucket.step / every) * every;
    const last = points.at(-1);
    if (last && last.step === start) points[points.length - 1] = joinBuckets(last, bucket);
    else points.push({ ...bucket, step: start });
  }
  return { every, points };
}

/** Doubles the width of the buckets until at most `most` are left. */
export function limitBuckets(series: Series, most: number): Series {
  let fitted = series;
  while (fitted.points.length > most) fitted = coarsen(fitted, fitted.every * 2);
  return fitted;
}

/** Where a bucket is on the axis: in the middle of the steps it has. A point is at its step. */
export const centre = (bucket: Bucket, every: number): number => bucket.step + (Math.min(every, bucket.n) - 1) / 2;

/** The newest value and its step; null for an empty series. */
export function newest(series: Series): { step: number; value: number } | null {
  const last = series.points.at(-1);
  return last ? { step: last.step, value: last.last } : null;
}
