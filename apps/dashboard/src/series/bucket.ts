import type { MetricSeries } from '@moraine/contract';

/** `n` values of one metric in the steps `[step, step + every)`. */
export type Bucket = MetricSeries['points'][number];

/** A step, or a bucket of steps, with a value that is no number. */
export type Gap = NonNullable<MetricSeries['not_finite']>[number];

export interface Series {
  every: number;
  points: readonly Bucket[];
  /** Where the metric was no number; absent where it never was. */
  gaps?: readonly Gap[];
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
  return { ...series, every, points };
}

/** Doubles the width of the buckets until at most `most` are left. */
export function limitBuckets(series: Series, most: number): Series {
  let fitted = series;
  while (fitted.points.length > most) fitted = coarsen(fitted, fitted.every * 2);
  return fitted;
}

/** Where a bucket is on the axis: in the middle of the steps it has. A point is at its step. */
export const centre = (bucket: Bucket, every: number): number => bucket.step + (Math.min(every, bucket.n) - 1) / 2;

/** The bucket that a step falls into, or the nearest before it; null before the first. */
export function bucketAt({ points }: Series, step: number): Bucket | null {
  let low = 0;
  let high = points.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    if ((points[middle]?.step ?? Number.POSITIVE_INFINITY) <= step) low = middle + 1;
    else high = middle - 1;
  }
  return points[high] ?? null;
}

/** The newest value and its step; null for an empty series. */
export function newest(series: Series): { step: number; value: number } | null {
  const last = series.points.at(-1);
  return last ? { step: last.step, value: last.last } : null;
}
