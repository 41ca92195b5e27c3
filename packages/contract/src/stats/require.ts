import { AppError } from '../errors.js';

/** A value that a statistic cannot be taken of. */
export const refuse = (message: string, hint: string): AppError => new AppError('invalid_value', message, { hint });

/** @throws AppError naming the first value that is NaN or infinite. */
export function requireNumbers(values: readonly number[], what: string): void {
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at >= 0)
    throw refuse(`${what} [${at}] is ${values[at]}, which is not a number.`, 'Leave out or repair what has no number.');
}

/** @throws AppError unless every count is a whole number of at least 0. */
export function requireCounts(counts: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(counts)) {
    if (!Number.isSafeInteger(value) || value < 0)
      throw refuse(`${name} is ${value}.`, 'Give a whole number of at least 0.');
  }
}

/** `values − baseline`, pair by pair. @throws AppError unless both hold the same number of values, at least one, all finite. */
export function differencesOf(values: readonly number[], baseline: readonly number[]): number[] {
  requireSameLength({ values: values.length, baseline: baseline.length });
  if (values.length === 0) throw refuse('There are no pairs to compare.', 'Give at least one value on each side.');
  requireNumbers(values, 'values');
  requireNumbers(baseline, 'baseline');
  return values.map((value, i) => value - (baseline[i] as number));
}

/** @throws AppError with both lengths unless all are equal. */
export function requireSameLength(lengths: Readonly<Record<string, number>>): void {
  if (new Set(Object.values(lengths)).size <= 1) return;
  const words = Object.entries(lengths).map(([name, length]) => `${name} has ${length}`);
  throw refuse(
    `Values that belong together differ in number: ${words.join(', ')}.`,
    'Give one of each for every item.',
  );
}

export const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
