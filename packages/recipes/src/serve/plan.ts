import type { ModelShape } from '@moraine/contract/plan';
import { type Adapter, adapterShapes, type GenerationPlan, generationVariables } from '@moraine/lm';

const CHUNK_MIN = 16;
/** Longest chunk of a prompt: what others wait for between two of their tokens. */
const CHUNK_MAX = 64;
const SPAN_MIN = 64;
/** A stream that waits so long for each token is still faster than anybody reads. */
const READ_MS = 40;

/** One row and all of them. Above the smallest, chunks of prompts are padded to at most twice their length, the context and prompts that are scored to four times what is used. */
export function servingPlan(rows: number, contextMax: number): GenerationPlan {
  return {
    batches: [...new Set([1, rows])],
    prefillTimes: steps(CHUNK_MIN, Math.min(CHUNK_MAX, contextMax), 2),
    spans: steps(SPAN_MIN, contextMax, 4),
    scoreTimes: steps(CHUNK_MIN, contextMax, 4),
    contextMax,
    readMs: READ_MS,
  };
}

/** `from`, `times` as much and so on, and `to`. */
function steps(from: number, to: number, times: number): number[] {
  const sizes = [to];
  for (let size = from; size < to; size *= times) sizes.splice(-1, 0, size);
  return sizes;
}

const FLOAT_BYTES = 4;
const bytesOf = (shapes: Iterable<readonly number[]>): number =>
  [...shapes].reduce((total, shape) => total + shape.reduce((product, size) => product * size, FLOAT_BYTES), 0);

/** Bytes of the caches of keys and values. */
export const cacheBytes = (config: ModelShape, plan: GenerationPlan): number =>
  bytesOf([...generationVariables(config, plan).values()].map(({ shape }) => shape));

/** Bytes of weights as a session holds them, in float32. */
export const weightBytes = (weights: ReadonlyMap<string, { shape: readonly number[] }>): number =>
  bytesOf([...weights.values()].map(({ shape }) => shape));

/** Bytes of one adapter of a kind. */
export const adapterBytes = (config: ModelShape, adapter: Adapter): number =>
  bytesOf(adapterShapes(config, adapter).values());
