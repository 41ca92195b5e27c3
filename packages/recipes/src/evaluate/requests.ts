import type { BatchShape } from '@moraine/contract';

/** One pass over some tokens, and which next tokens are scored after which place of them. */
export interface Request {
  ids: number[];
  /** Places in `ids`, and the id that is scored after each. */
  positions: number[];
  targets: number[];
}

/** What the model makes of the targets of a request, in their order. */
export interface RequestScores {
  /** Log-probabilities, natural logarithm. */
  logprobs: number[];
  /** Whether each is the likeliest token. */
  isBest: boolean[];
}

/** Lengths that requests are padded to. */
const TIMES = [32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096];
/** Tokens of a batch. */
const TOKENS_MAX = { cpu: 4096, gpu: 16_384 };
const ROWS_MAX = 64;

/** The length that a request is padded to, which follows from its own alone. */
export function timeOf(length: number, maxPositions: number): number {
  const time = TIMES.find((step) => step >= length) ?? Math.ceil(length / 1024) * 1024;
  return Math.max(length, Math.min(time, maxPositions));
}

/**
 * The shapes that requests are scored in, one a padded length: as many rows as the tokens of a batch allow and there are requests for. A request's
 * shape does not depend on the order of the others.
 */
export function shapesOf(
  requests: readonly Request[],
  maxPositions: number,
  device: 'cpu' | 'gpu',
): Map<number, BatchShape> {
  const counts = new Map<number, number>();
  for (const { ids } of requests) {
    const time = timeOf(ids.length, maxPositions);
    counts.set(time, (counts.get(time) ?? 0) + 1);
  }
  const rowsFor = (time: number, count: number): number =>
    Math.max(1, Math.min(Math.floor(TOKENS_MAX[device] / time), ROWS_MAX, 2 ** Math.ceil(Math.log2(count))));
  return new Map([...counts].map(([time, count]) => [time, { batch: rowsFor(time, count), time }]));
}
