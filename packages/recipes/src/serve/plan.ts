import type { ModelShape } from '@moraine/contract/plan';
import { type Adapter, adapterShapes, type GenerationPlan, generationVariables } from '@moraine/lm';

const PREFILL_MIN = 16;

/** One row and all of them; prompts padded to one of a few lengths, each four times the one before. */
export function servingPlan(rows: number, contextMax: number): GenerationPlan {
  const prefillTimes: number[] = [];
  for (let time = contextMax; time > PREFILL_MIN; time = Math.ceil(time / 4)) prefillTimes.unshift(time);
  return { batches: [...new Set([1, rows])], prefillTimes, scoreTimes: prefillTimes, contextMax };
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
