/** Quantiles of Student's t at 97.5 % by degrees of freedom, from 1. */
const T975 = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228] as const;

export interface Interval {
  mean: number;
  /** Half width of the two-sided 95 % t-interval of the mean; NaN for one value. */
  half: number;
  values: number[];
}

/** Mean with its 95 % t-interval: mean ± t(0.975, n-1) · s / sqrt(n), s with n - 1 in the denominator. */
export function interval(values: readonly number[]): Interval {
  const n = values.length;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (n - 1);
  const t = T975[n - 2] ?? Number.NaN;
  return { mean, half: n < 2 ? Number.NaN : (t * Math.sqrt(variance)) / Math.sqrt(n), values: [...values] };
}
