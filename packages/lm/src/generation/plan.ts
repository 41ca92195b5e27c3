import { AppError } from '@moraine/contract';
import type { ModelShape } from '@moraine/contract/plan';

/** The fixed shapes that a program generates with. Each number of rows is a signature, each pair of rows and prompt length another. */
export interface GenerationPlan {
  /** Rows decoded side by side, ascending. The caches have room for the largest. */
  batches: readonly number[];
  /** Lengths that prompts are padded to, tokens, ascending. Longer prompts are refused. */
  prefillTimes: readonly number[];
  /** Longest prompt and answer together, tokens; at most the model's own. */
  contextMax: number;
  /** Only greedy answers without lists of likely tokens: a third of the graph less. */
  isGreedy?: boolean;
  /** Lengths that prompts which are scored are padded to, tokens, ascending; absent: none is scored. */
  scoreTimes?: readonly number[];
}

/** @throws AppError `invalid_value` naming what cannot work. */
export function checkPlan(config: ModelShape, { batches, prefillTimes, scoreTimes, contextMax }: GenerationPlan): void {
  const problem =
    sequenceProblem('batches', batches, Number.POSITIVE_INFINITY) ??
    sequenceProblem('prefillTimes', prefillTimes, contextMax) ??
    (scoreTimes === undefined ? null : sequenceProblem('scoreTimes', scoreTimes, contextMax)) ??
    (contextMax > config.maxPositions ? `contextMax is ${contextMax}, the model ends at ${config.maxPositions}` : null);
  if (problem === null) return;
  throw new AppError('invalid_value', `The plan of generation cannot work: ${problem}.`, {
    param: 'generation',
    hint: 'Give ascending whole numbers, none above the context.',
  });
}

function sequenceProblem(name: string, values: readonly number[], max: number): string | null {
  if (values.length === 0) return `${name} is empty`;
  const isFine = values.every((value, i) => Number.isInteger(value) && value > (values[i - 1] ?? 0) && value <= max);
  return isFine ? null : `${name} is ${values.join(', ')}`;
}

/** The smallest of the ascending sizes that holds `wanted`; the largest where none does. */
export function bucketFor(wanted: number, sizes: readonly number[]): number {
  return sizes.find((size) => size >= wanted) ?? largest(sizes);
}

export function largest(sizes: readonly number[]): number {
  return sizes[sizes.length - 1] ?? 0;
}

export const prefillName = (batch: number, time: number): string => `prefill/${batch}x${time}`;
export const decodeName = (batch: number): string => `decode/${batch}`;
export const decodeLogitsName = (batch: number): string => `decode/${batch}/logits`;
