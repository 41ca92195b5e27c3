import { AppError, type Parity } from '@moraine/contract';
import type { HostTensor } from '@moraine/lm';

/** Rows whose logits are compared, and tokens of each: the first of the validation file, else of the training file. */
const ROWS = 4;
const TOKENS = 32;

/** The rows that a run's exports are compared on. */
export const pinnedRows = (rows: readonly { ids: readonly number[] | Int32Array }[]): number[][] =>
  rows
    .slice(0, ROWS)
    .map(({ ids }) => Array.from(ids.slice(0, TOKENS)))
    .filter((ids) => ids.length > 0);

/** Rows of a vocabulary where nobody has any: the same every time. */
export const madeRows = (vocabSize: number): number[][] =>
  Array.from({ length: ROWS }, (_, row) =>
    Array.from({ length: TOKENS }, (_unused, t) => Math.imul(row * TOKENS + t + 1, 2654435761) >>> 0).map(
      (hash) => hash % vocabSize,
    ),
  );

/** Compares logits [tokens, V] of the same places. A logit that is no number is infinitely far from every other. */
export function compareLogits(rows: number, expected: HostTensor, found: HostTensor): Parity {
  const [tokens = 0, vocab = 0] = expected.shape;
  let [apart, size, same] = [0, 0, 0];
  for (let row = 0; row < tokens; row++) {
    let [best, other] = [0, 0];
    for (let i = row * vocab; i < (row + 1) * vocab; i++) {
      const [a, b] = [expected.data[i] ?? 0, found.data[i] ?? 0];
      const difference = Math.abs(a - b);
      apart = Math.max(apart, Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference);
      size = Math.max(size, Math.abs(a));
      if (a > (expected.data[row * vocab + best] ?? 0)) best = i - row * vocab;
      if (b > (found.data[row * vocab + other] ?? 0)) other = i - row * vocab;
    }
    if (best === other) same += 1;
  }
  return {
    prompts: rows,
    tokens,
    max_logit_difference: apart,
    max_logit: size,
    top1_agreement: tokens === 0 ? 1 : same / tokens,
  };
}

/**
 * How far logits may be from those of what was trained, as a share of the largest. An adapter's numbers are stored as they are; a merged model
 * adds up in another order, and its weights are rounded to the type of the base.
 */
const BOUNDS = { exact: 1e-4, F32: 1e-3, F16: 0.05, BF16: 0.25 } as const;

/** What is wrong with an export by its parity, in a sentence; null where nothing is. */
export function parityProblem(format: string, parity: Parity, dtype: string | null): string | null {
  const bound = dtype === null ? BOUNDS.exact : (BOUNDS[(dtype || 'F32') as keyof typeof BOUNDS] ?? BOUNDS.BF16);
  const { max_logit_difference: apart, max_logit: size, top1_agreement: same } = parity;
  if (apart <= bound * size) return null;
  return `The export '${format}' does not compute what was trained: read back, its logits differ by up to ${apart.toPrecision(3)} (they reach ${size.toPrecision(3)}; at most ${(bound * size).toPrecision(2)} is rounding), and ${(100 * (1 - same)).toFixed(1)} % of the most likely tokens are others.`;
}

/** @throws AppError `internal` naming the export and its figures. */
export function refuseBadParity(format: string, parity: Parity, dtype: string | null): void {
  const problem = parityProblem(format, parity, dtype);
  if (problem === null) return;
  throw new AppError('internal', problem, {
    hint: 'Nothing of it was stored; the checkpoints are. Please report it with the configuration of the run.',
  });
}
