// What falling singular values say of a matrix.

const sumOfSquares = (values: Iterable<number>): number => {
  let sum = 0;
  for (const value of values) sum += value * value;
  return sum;
};

/** ‖·‖_F from the singular values. */
export const normOf = (values: readonly number[]): number => Math.sqrt(sumOfSquares(values));

/** How many of the largest hold a share of the sum of squares; 0 where all are zero. Biderman et al. 2024, arXiv:2405.09673, §4.5, take 90 %. */
export function rankHolding(values: readonly number[], share = 0.9): number {
  const wanted = share * sumOfSquares(values);
  let held = 0;
  let rank = 0;
  for (const value of values) {
    if (held >= wanted) break;
    held += value * value;
    rank++;
  }
  return rank;
}

/** ‖·‖_F² / σ₁² (Rudelson & Vershynin 2007); null of a matrix of zeros. */
export const stableRank = (values: readonly number[]): number | null =>
  (values[0] ?? 0) === 0 ? null : sumOfSquares(values) / (values[0] ?? 0) ** 2;

const EPSILON_FLOAT32 = 2 ** -23;

/** Values above what rounding to float32 makes of zero: more than the longer side times epsilon times σ₁, NumPy's rule in `matrix_rank`. */
export const numericalRank = (values: readonly number[], longerSide: number): number =>
  values.filter((value) => value > longerSide * EPSILON_FLOAT32 * (values[0] ?? 0)).length;
