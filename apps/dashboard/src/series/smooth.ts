import { centre, type Series } from './bucket.js';

/**
 * Exponential moving average over steps, with a half-life in steps: a value counts half as much `halfLife` steps later, however densely
 * the steps were measured, and a bucket counts as the values in it. Divided by the sum of its weights, so the first value is not a bias
 * (Kingma & Ba 2014, arXiv:1412.6980, section 3, the same correction). One y per bucket, at its centre.
 *
 * It is always computed over the whole run and never over a window, so zooming moves no part of the curve.
 */
export function smooth(series: Series, halfLife: number): { x: number[]; y: number[] } {
  const x: number[] = [];
  const y: number[] = [];
  let sum = 0;
  let weight = 0;
  let before = 0;
  for (const bucket of series.points) {
    const at = centre(bucket, series.every);
    const keep = halfLife > 0 && x.length > 0 ? 0.5 ** ((at - before) / halfLife) : 0;
    if (Number.isFinite(bucket.mean)) {
      sum = sum * keep + bucket.mean * bucket.n;
      weight = weight * keep + bucket.n;
      before = at;
    }
    x.push(at);
    y.push(weight > 0 ? sum / weight : Number.NaN);
  }
  return { x, y };
}
