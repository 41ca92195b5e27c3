import { digits } from '../lib/format.js';
import { bucketAt, type Series } from './bucket.js';

/**
 * What a series says at a step, in words for a legend. A value that stands alone is that value; a bucket of many is its mean and its ends,
 * never one of them as if it had been measured at the step. Without a step, the newest value.
 */
export function readSeries(series: Series, step: number | null, upTo: number): string {
  const gap = series.gaps?.findLast((one) => one.step <= (step ?? upTo));
  const bucket = bucketAt(series, step ?? upTo);
  const isNewer = gap !== undefined && (!bucket || gap.step >= bucket.step + bucket.n);
  if (isNewer && (step === null || isWithin(gap.step, series.every, step))) return gap.value;
  if (!bucket) return '–';
  if (step === null || bucket.n === 1) return digits(bucket.last, 4);
  return `mean ${digits(bucket.mean, 4)}, ${digits(bucket.min)}–${digits(bucket.max)}`;
}

const isWithin = (start: number, every: number, step: number): boolean => step >= start && step < start + every;

/** The steps that a value at a step is of: one, or those of its bucket. */
export function stepsText(series: Series, step: number): string {
  const bucket = bucketAt(series, step);
  const text = (n: number): string => Math.round(n).toLocaleString('en-US');
  return bucket && bucket.n > 1
    ? `steps ${text(bucket.step)}–${text(bucket.step + series.every - 1)}`
    : `step ${text(step)}`;
}
