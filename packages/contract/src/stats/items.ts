import { createRandom } from '../random.js';
import { fairCoins } from './distributions.js';
import type { Interval } from './intervals.js';
import { differencesOf, meanOf, refuse, requireCounts, requireSameLength } from './require.js';

export interface BootstrapOptions {
  /** The same seed draws the same resamples; 0 unless given. */
  seed?: number;
  /** 10,000 unless given. */
  resamples?: number;
}

export interface Difference extends Interval {
  /** Mean of `values − baseline` over the items. */
  difference: number;
  n: number;
}

/**
 * The mean difference of two models on the same items, with its 95 % interval: items are drawn with replacement, each with both its scores, and the
 * interval holds the middle 95 % of the resampled means (percentile bootstrap; Efron and Tibshirani 1993, ch. 13). Time grows with
 * items × resamples: 10,000 items take about a second.
 * @param values what one model got for each item: 0 or 1, or any score
 * @param baseline what the other got, in the same order
 * @throws AppError when the two differ in number, are empty or hold what is not finite.
 */
export function bootstrapDifference(
  values: readonly number[],
  baseline: readonly number[],
  { seed = 0, resamples = 10_000 }: BootstrapOptions = {},
): Difference {
  const differences = Float64Array.from(differencesOf(values, baseline));
  requireCounts({ resamples, seed });
  if (resamples < 100) throw refuse(`resamples is ${resamples}.`, 'Take at least 100; 10,000 is usual.');
  const means = resampledMeans(differences, resamples, seed).sort();
  return {
    difference: meanOf([...differences]),
    n: differences.length,
    low: quantileOf(means, 0.025),
    high: quantileOf(means, 0.975),
  };
}

function resampledMeans(values: Float64Array, resamples: number, seed: number): Float64Array {
  const { next } = createRandom(seed, 0xb007);
  const n = values.length;
  return Float64Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let i = 0; i < n; i += 1) sum += values[Math.floor(next() * n)] as number;
    return sum / n;
  });
}

/** The quantile of sorted values, linear between neighbours (Hyndman and Fan 1996, type 7, as NumPy's default). */
function quantileOf(sorted: Float64Array, share: number): number {
  const place = share * (sorted.length - 1);
  const below = sorted[Math.floor(place)] as number;
  const above = sorted[Math.ceil(place)] as number;
  return below + (above - below) * (place - Math.floor(place));
}

export interface ComparedVerdicts {
  bothRight: number;
  onlyFirst: number;
  onlySecond: number;
  bothWrong: number;
  /** McNemar's exact two-sided p. */
  p: number;
}

/**
 * The exact p of McNemar's test: were both models equally good, each item that one alone got right would be a fair coin
 * (McNemar 1947, Psychometrika 12; exact form: Fagerland et al. 2013). 1 where no item tells them apart.
 */
export function mcnemarP(onlyFirst: number, onlySecond: number): number {
  requireCounts({ onlyFirst, onlySecond });
  const fewer = Math.min(onlyFirst, onlySecond);
  return onlyFirst === onlySecond ? 1 : Math.min(1, 2 * fairCoins(fewer, onlyFirst + onlySecond));
}

/** Counts who got which item right, with McNemar's exact p. @throws AppError when the two differ in number. */
export function compareVerdicts(first: readonly boolean[], second: readonly boolean[]): ComparedVerdicts {
  requireSameLength({ first: first.length, second: second.length });
  const count = (a: boolean, b: boolean): number => first.filter((one, i) => one === a && second[i] === b).length;
  const [onlyFirst, onlySecond] = [count(true, false), count(false, true)];
  const p = mcnemarP(onlyFirst, onlySecond);
  return { bothRight: count(true, true), onlyFirst, onlySecond, bothWrong: count(false, false), p };
}

/**
 * The chance that of k samples at least one passes, from c that passed of n drawn: 1 − C(n − c, k) / C(n, k), unbiased
 * (Chen et al. 2021, arXiv:2107.03374, Eq. 1), as a sum of logarithms, so that no binomial overflows and small chances keep their digits.
 * @throws AppError when k is 0, k > n or c > n.
 */
export function passAtK(n: number, c: number, k: number): number {
  requireCounts({ n, c, k });
  if (k === 0 || k > n) throw refuse(`pass@${k} of ${n} samples.`, 'Take k from 1 to the number of samples.');
  if (c > n) throw refuse(`${c} of ${n} samples passed.`, 'Give at most as many passes as samples.');
  if (n - c < k) return 1;
  // C(n − c, k) / C(n, k) is symmetric in c and k: the fewer factors, the better.
  const [few, many] = c < k ? [c, k] : [k, c];
  let logarithm = 0;
  for (let i = 0; i < few; i += 1) logarithm += Math.log1p(-many / (n - i));
  return few === 0 ? 0 : -Math.expm1(logarithm);
}
