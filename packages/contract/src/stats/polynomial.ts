import { meanOf, refuse, requireNumbers, requireSameLength } from './require.js';

export interface Polynomial {
  /** Of x⁰, x¹, …, x^degree. */
  coefficients: number[];
  /** 1 − residual / total sum of squares; null where all y are equal. */
  r2: number | null;
}

/**
 * The polynomial of least squares through points, by Householder's QR of powers of x scaled to [−1, 1] (Golub and Van Loan 2013, §5.3).
 * @param degree from 0 to 8
 * @throws AppError when x and y differ in number, a value is not finite, or there are not more different x than `degree`.
 */
export function fitPolynomial(x: readonly number[], y: readonly number[], degree: number): Polynomial {
  requireFit(x, y, degree);
  const fitted = solve(x, y, degree);
  return { coefficients: unscale(fitted), r2: shareExplained(y, x.map(fitted.predict)) };
}

/** The polynomial's value at x (Horner). */
export const evaluatePolynomial = (coefficients: readonly number[], x: number): number =>
  coefficients.reduceRight((sum, coefficient) => sum * x + coefficient, 0);

/**
 * How well the fit foretells a group that it has not seen: each group is predicted by the polynomial of the others, and all predictions
 * together give 1 − Σ(y − ŷ)² / Σ(y − ȳ)². Below 0 the mean of all would have been better. Null where all y are equal.
 * @param groups which group each point is of, e.g. its method
 * @throws AppError when there are fewer than two groups, or the rest of one has too few different x.
 */
export function leaveOneGroupOutR2(
  x: readonly number[],
  y: readonly number[],
  groups: readonly string[],
  degree: number,
): number | null {
  requireSameLength({ x: x.length, y: y.length, groups: groups.length });
  requireFit(x, y, degree);
  const names = [...new Set(groups)];
  if (names.length < 2)
    throw refuse(`All points are of one group, '${names[0]}'.`, 'Give points of at least two groups.');
  const fits = new Map(names.map((name) => [name, solveWithout(name)]));
  return shareExplained(
    y,
    x.map((at, i) => fits.get(groups[i] as string)?.predict(at) ?? Number.NaN),
  );

  function solveWithout(name: string): Fitted {
    const kept = [...x.keys()].filter((i) => groups[i] !== name);
    const restX = kept.map((i) => x[i] as number);
    requireSpread(restX, degree, ` outside of group '${name}'`);
    return solve(
      restX,
      kept.map((i) => y[i] as number),
      degree,
    );
  }
}

/** 1 − Σ(y − ŷ)² / Σ(y − ȳ)². */
function shareExplained(y: readonly number[], predicted: readonly number[]): number | null {
  const mean = meanOf(y);
  const total = y.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const left = y.reduce((sum, value, i) => sum + (value - (predicted[i] as number)) ** 2, 0);
  return y.every((value) => value === y[0]) ? null : 1 - left / total;
}

function requireFit(x: readonly number[], y: readonly number[], degree: number): void {
  requireSameLength({ x: x.length, y: y.length });
  requireNumbers(x, 'x');
  requireNumbers(y, 'y');
  if (!Number.isInteger(degree) || degree < 0 || degree > 8)
    throw refuse(`degree is ${degree}.`, 'Take a whole number from 0 to 8.');
  requireSpread(x, degree, '');
}

function requireSpread(x: readonly number[], degree: number, where: string): void {
  const different = new Set(x).size;
  if (different <= degree)
    throw refuse(
      `A polynomial of degree ${degree} needs ${degree + 1} different x; there are ${different}${where}.`,
      'Give more points or take a lower degree.',
    );
}

/** A fit in u = (x − middle) / half, where it keeps its digits however far x lies from 0. */
interface Fitted {
  scaled: number[];
  middle: number;
  half: number;
  predict: (x: number) => number;
}

function solve(x: readonly number[], y: readonly number[], degree: number): Fitted {
  const [low, high] = x.reduce(([least, most], at) => [Math.min(least, at), Math.max(most, at)], [Infinity, -Infinity]);
  const middle = (low + high) / 2;
  const half = (high - low) / 2 || 1;
  const rows = x.map((at) => Array.from({ length: degree + 1 }, (_, power) => ((at - middle) / half) ** power));
  const scaled = leastSquares(rows, [...y]);
  return { scaled, middle, half, predict: (at) => evaluatePolynomial(scaled, (at - middle) / half) };
}

/** Coefficients of u as those of x: Horner's rule on polynomials. */
function unscale({ scaled, middle, half }: Fitted): number[] {
  const result = scaled.map(() => 0);
  for (const coefficient of [...scaled].reverse()) {
    // result · (x − middle) / half + coefficient, from the highest power down
    for (let power = result.length - 1; power >= 0; power -= 1)
      result[power] = ((result[power - 1] ?? 0) - middle * (result[power] as number)) / half;
    result[0] = (result[0] as number) + coefficient;
  }
  return result;
}

/** min ‖A·w − b‖₂ by Householder reflections; both arguments are overwritten. A [m, n], m ≥ n, of full rank. */
function leastSquares(a: number[][], b: number[]): number[] {
  const n = a[0]?.length ?? 0;
  for (let column = 0; column < n; column += 1) reflect(a, b, column);
  const solution = new Array<number>(n).fill(0);
  for (let row = n - 1; row >= 0; row -= 1) {
    const above = a[row] as number[];
    const known = solution.reduce((sum, value, i) => (i > row ? sum + value * (above[i] as number) : sum), 0);
    solution[row] = ((b[row] as number) - known) / (above[row] as number);
  }
  return solution;
}

/** Makes what is below the diagonal of one column zero, in all columns and in b. */
function reflect(a: number[][], b: number[], column: number): void {
  const v = a.map((row, i) => (i < column ? 0 : (row[column] as number)));
  const norm = Math.hypot(...v);
  v[column] = (v[column] as number) + ((v[column] as number) < 0 ? -norm : norm);
  const square = v.reduce((sum, value) => sum + value * value, 0);
  const share = (dot: number): number => (2 * dot) / square;
  for (let other = column; other < (a[0]?.length ?? 0); other += 1) {
    const by = share(a.reduce((sum, row, i) => sum + (v[i] as number) * (row[other] as number), 0));
    for (const [i, row] of a.entries()) row[other] = (row[other] as number) - by * (v[i] as number);
  }
  const by = share(b.reduce((sum, value, i) => sum + (v[i] as number) * value, 0));
  for (const [i, value] of b.entries()) b[i] = value - by * (v[i] as number);
}
