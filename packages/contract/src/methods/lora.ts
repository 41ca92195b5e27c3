import { z } from 'zod';
import type { LinearShape } from '../architectures/tensor.js';
import {
  ADAPTED,
  defineMethod,
  type MatchTargets,
  RANK_DEFAULT,
  resolveAdapted,
  sumOf,
  tooLargeRank,
} from './method.js';

/** Request keys of LoRA and of the methods that are a LoRA inside. */
export const LORA_KEYS = {
  alpha: z
    .number()
    .positive()
    .optional()
    .describe(
      'Numerator of the scale of LoRA, DoRA and PiSSA; the update is multiplied by alpha / rank. Default 2 x rank. Refused for methods without a scale.',
    ),
  use_rslora: z
    .boolean()
    .optional()
    .describe('Scale by alpha / sqrt(rank) instead of alpha / rank. LoRA, DoRA and PiSSA. Default false.'),
};

/** Their resolved form, with the keys of every adapter. */
export const LORA_VALUES = { rank: z.int(), alpha: z.number(), use_rslora: z.boolean(), ...ADAPTED };

const LoraConfig = z.strictObject({ type: z.literal('lora'), ...LORA_VALUES });
export type LoraConfig = z.output<typeof LoraConfig>;

type LoraRequest = Parameters<typeof resolveAdapted>[0] & {
  rank?: number | undefined;
  alpha?: number | undefined;
  use_rslora?: boolean | undefined;
};

/** The keys of `LORA_VALUES` with their defaults. @throws AppError for a rank that a layer is too small for. */
export function resolveLora(request: LoraRequest, match: MatchTargets) {
  const rank = request.rank ?? RANK_DEFAULT;
  const { layers, adapted } = resolveAdapted(request, match);
  refuseHighRank(rank, layers);
  return { rank, alpha: request.alpha ?? 2 * rank, use_rslora: request.use_rslora ?? false, ...adapted };
}

export const lora = defineMethod({
  type: 'lora',
  spellings: [],
  isDefault: true,
  name: 'LoRA',
  keys: LORA_KEYS,
  shared: ['rank', 'dropout', 'target_modules'],
  config: LoraConfig,
  resolve: (request, match) => ({ type: 'lora', ...resolveLora(request, match) }),
  trainableParameters: ({ rank }, layers) => sumOf(layers, ({ inDim, outDim }) => (inDim + outDim) * rank),
  learningRate: () => 1,
  variants: [{ spelling: 'lora', request: { type: 'lora' } }],
  kind: () => '',
  label: ({ rank }) => `lora r${rank}`,
  color: 'lora',
  withoutExport: () => null,
});

/** A product of thin matrices has at most the rank of the layer; what goes beyond it learns nothing. */
export function refuseHighRank(rank: number, shapes: readonly LinearShape[]): void {
  const rankMax = Math.min(...shapes.map(({ inDim, outDim }) => Math.min(inDim, outDim)));
  const narrow = shapes.find(({ inDim, outDim }) => Math.min(inDim, outDim) === rankMax);
  if (rank <= rankMax || !narrow) return;
  throw tooLargeRank(
    `'adapter.rank' is ${rank}, but ${narrow.name} is ${narrow.outDim} by ${narrow.inDim}, whose rank is at most ${rankMax}.`,
    rankMax,
  );
}
