import { AppError } from '@moraine/contract';
import type { ModelShape } from '@moraine/contract/plan';

/** The fixed shapes that a program generates with. Every combination of them is a signature. */
export interface GenerationPlan {
  /** Rows decoded side by side, ascending. The caches have room for the largest. */
  batches: readonly number[];
  /** Lengths that prompts are padded to, tokens, ascending. Longer ones are refused or, with `spans`, read in chunks of the longest. */
  prefillTimes: readonly number[];
  /** Longest prompt and answer together, tokens; at most the model's own. */
  contextMax: number;
  /**
   * Lengths of the beginning of the context, tokens, ascending, the last `contextMax`: a pass reads the shortest that has all it looks at. With them prompts may be
   * as long as the context allows, and what rows hold of earlier ones is not read again. Absent: a pass reads the whole context.
   */
  spans?: readonly number[];
  /** After how long no further chunk of a prompt is begun while rows that answer wait, milliseconds; absent: after one chunk. */
  readMs?: number;
  /** Lengths that prompts which are scored are padded to, tokens, ascending; absent: none is scored. */
  scoreTimes?: readonly number[];
}

/** @throws AppError `invalid_value` naming what cannot work. */
export function checkPlan(config: ModelShape, plan: GenerationPlan): void {
  const { batches, prefillTimes, scoreTimes, contextMax } = plan;
  const problem =
    sequenceProblem('batches', batches, Number.POSITIVE_INFINITY) ??
    sequenceProblem('prefillTimes', prefillTimes, contextMax) ??
    sequenceProblem('spans', spansOf(plan), contextMax) ??
    (largest(spansOf(plan)) < contextMax
      ? `spans end at ${largest(spansOf(plan))}, the context at ${contextMax}`
      : null) ??
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

/** The lengths of the context that passes read. */
export const spansOf = ({ spans, contextMax }: GenerationPlan): readonly number[] => spans ?? [contextMax];

/** Longest prompt that is taken, tokens. */
export const promptMaxOf = ({ prefillTimes, spans, contextMax }: GenerationPlan): number =>
  Math.min(spans === undefined ? largest(prefillTimes) : contextMax, contextMax - 1);

/** Whether a pass over chunks of so many prompts is an `extend`, of a first chunk from place 0 on. */
export const readsByExtending = ({ spans }: GenerationPlan, batch: number): boolean =>
  batch === 1 && spans !== undefined;

export const prefillName = (batch: number, time: number): string => `prefill/${batch}x${time}`;
export const extendName = (time: number, span: number): string => `extend/${time}/${span}`;
export const decodeName = (batch: number, span: number): string => `decode/${batch}/${span}`;
/** Copies the first places of a row of the caches over those of another. */
export const copyName = (span: number): string => `rows/copy/${span}`;
export const CLEAR_ROW = 'rows/clear';
