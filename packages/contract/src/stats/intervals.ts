import { tQuantile95, tTwoSided } from './distributions.js';
import { differencesOf, meanOf, refuse, requireCounts, requireNumbers } from './require.js';

export interface Interval {
  low: number;
  high: number;
}

/** The standard normal distribution's quantile at 97.5 %. */
const Z95 = 1.959963984540054;
/** With fewer values a t-interval says nothing that anybody should read (evaluation of seeds). */
export const LEAST_VALUES = 3;

/**
 * The 95 % interval of a share: `successes` of `n` (Wilson 1927, JASA 22; Agresti and Coull 1998 say why this one).
 * It never leaves [0, 1] and stays right for shares of 0 and 1.
 * @throws AppError when n is 0 or there are more successes than tries.
 */
export function wilsonInterval(successes: number, n: number): Interval {
  requireCounts({ successes, n });
  if (n === 0) throw refuse('A share of 0 tries has no interval.', 'Score at least one item.');
  if (successes > n) throw refuse(`${successes} successes of ${n} tries.`, 'Give at most as many successes as tries.');
  const share = successes / n;
  const spread = (Z95 * Z95) / n;
  const centre = (share + spread / 2) / (1 + spread);
  const half = (Z95 * Math.sqrt((share * (1 - share)) / n + spread / (4 * n))) / (1 + spread);
  return { low: successes === 0 ? 0 : centre - half, high: successes === n ? 1 : centre + half };
}

/**
 * The 95 % interval of `share − baseline`, two shares of `n` each that are taken as independent: Wilson's intervals of both, joined (Newcombe 1998, Stat. Med. 17, method 10). Of the
 * same items it is wider than the paired bootstrap as a rule.
 * @throws AppError when n is 0 or there are more successes than tries.
 */
export function shareDifference(successes: number, baseline: number, n: number): Interval {
  const [ours, theirs] = [wilsonInterval(successes, n), wilsonInterval(baseline, n)];
  const [share, base] = [successes / n, baseline / n];
  return {
    low: share - base - Math.hypot(share - ours.low, theirs.high - base),
    high: share - base + Math.hypot(ours.high - share, base - theirs.low),
  };
}

/**
 * Whether `successes` of `n` cannot be told from guessing that is right with probability `chance`: Wilson's interval holds it,
 * which is the same as the share lying within 1.96 standard errors *of chance* from it.
 */
export function isAtChance(successes: number, n: number, chance: number): boolean {
  const { low, high } = wilsonInterval(successes, n);
  return low <= chance && chance <= high;
}

export interface MeanInterval {
  mean: number;
  n: number;
  /** Half width of the 95 % interval of the mean; null with fewer than three values and where all are equal, which allow none. */
  half: number | null;
}

/**
 * mean ± t(0.975, n − 1) · s / √n, s with n − 1 below (Student 1908). Values that are all equal, as three seeds at a ceiling are, have no interval: ± 0 would claim
 * what three equal counts cannot show.
 * @throws AppError when there is no value, or one is not finite.
 */
export function meanInterval(values: readonly number[]): MeanInterval {
  if (values.length === 0) throw refuse('There is no value to take a mean of.', 'Give at least one.');
  requireNumbers(values, 'values');
  const n = values.length;
  const mean = meanOf(values);
  const half = n < LEAST_VALUES || areEqual(values) ? null : tQuantile95(n - 1) * standardError(values, mean);
  return { mean, n, half };
}

/** Differences of equal numbers are off by their rounding. */
const ROUNDING = 1e-12;

function areEqual(values: readonly number[]): boolean {
  const [first = 0] = values;
  return values.every((value) => Math.abs(value - first) <= ROUNDING * Math.max(1, Math.abs(first)));
}

const standardError = (values: readonly number[], mean: number): number => {
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return Math.sqrt(squares / (values.length - 1) / values.length);
};

export interface PairedT extends MeanInterval {
  /** Student's t of the mean difference and its two-sided p; null with fewer than three pairs, or when all differences are equal. */
  t: number | null;
  p: number | null;
}

/**
 * The paired t-test of `values − baseline`, one pair a seed (Student 1908): `mean` is the mean difference, `half` of its 95 % interval.
 * @throws AppError when the two differ in number, are empty or hold what is not finite.
 */
export function testPairs(values: readonly number[], baseline: readonly number[]): PairedT {
  const differences = differencesOf(values, baseline);
  const interval = meanInterval(differences);
  if (interval.half === null) return { ...interval, t: null, p: null };
  const t = interval.mean / standardError(differences, interval.mean);
  return { ...interval, t, p: tTwoSided(t, interval.n - 1) };
}
