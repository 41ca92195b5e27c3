/**
 * The two distributions that the tests and intervals need, through the incomplete beta function. Own code: the typed and maintained
 * package for Student's t brings 231 others, and a browser loads this. Checked against SciPy in test/stats.
 */

/** Lanczos' coefficients for g = 7, n = 9 (Godfrey 2001). */
const LANCZOS = [
  0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059,
  12.507343278686905, -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
] as const;

/** ln Γ(x) for x ≥ 1/2. */
function lnGamma(x: number): number {
  const t = x + 6.5;
  const series = LANCZOS.reduce((sum, coefficient, i) => sum + (i === 0 ? coefficient : coefficient / (x - 1 + i)), 0);
  return 0.5 * Math.log(2 * Math.PI) + (x - 0.5) * Math.log(t) - t + Math.log(series);
}

/** The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz' method; quick where x < (a + 1) / (a + b + 2). */
function betaFraction(x: number, a: number, b: number): number {
  const tiny = 1e-300;
  const orTiny = (value: number): number => (Math.abs(value) < tiny ? tiny : value);
  let c = 1;
  let d = 1 / orTiny(1 - ((a + b) * x) / (a + 1));
  let result = d;
  for (let m = 1; m <= 10_000; m += 1) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let change = 1;
    for (const term of [even, odd]) {
      d = 1 / orTiny(1 + term * d);
      c = orTiny(1 + term / c);
      change = c * d;
      result *= change;
    }
    if (Math.abs(change - 1) < 1e-15) break;
  }
  return result;
}

/** The regularised incomplete beta function I_x(a, b) for 0 ≤ x ≤ 1 and a, b ≥ 1/2; `rest` is 1 − x, given where x rounds to 1. */
function betaShare(x: number, a: number, b: number, rest = 1 - x): number {
  if (x <= 0) return 0;
  if (rest <= 0) return 1;
  const front = Math.exp(lnGamma(a + b) - lnGamma(a) - lnGamma(b) + a * Math.log(x) + b * Math.log(rest));
  return x < (a + 1) / (a + b + 2) ? (front * betaFraction(x, a, b)) / a : 1 - (front * betaFraction(rest, b, a)) / b;
}

/** P(|T| ≥ |t|) of Student's t with `df` ≥ 1 degrees of freedom (DLMF 8.17; Abramowitz and Stegun 26.7.1). */
export function tTwoSided(t: number, df: number): number {
  const square = t * t;
  return betaShare(df / (df + square), df / 2, 0.5, square / (df + square));
}

/** The t with P(|T| ≤ t) = 0.95 for `df` ≥ 1 degrees of freedom: halves an interval of t²/(df + t²) until no number is left in it. */
export function tQuantile95(df: number): number {
  let low = 0;
  let high = 1;
  for (let i = 0; i < 200; i += 1) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (betaShare(middle, 0.5, df / 2) < 0.95) low = middle;
    else high = middle;
  }
  return Math.sqrt((df * high) / (1 - high));
}

/** P(X ≤ k) for X of n fair coins, 0 ≤ k < n (DLMF 8.17.5). */
export const fairCoins = (k: number, n: number): number => betaShare(0.5, n - k, k + 1);
