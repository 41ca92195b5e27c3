import { z } from 'zod';
import type { LinearShape } from '../architectures/tensor.js';
import { ADAPTED, defineMethod, RANK_DEFAULT, resolveAdapted, sumOf, tooLargeRank } from './method.js';

const LoraConfig = z.strictObject({
  type: z.literal('lora'),
  rank: z.int(),
  alpha: z.number(),
  use_rslora: z.boolean(),
  ...ADAPTED,
});
export type LoraConfig = z.output<typeof LoraConfig>;

export const lora = defineMethod({
  type: 'lora',
  spellings: [],
  isDefault: true,
  name: 'LoRA',
  keys: {
    alpha: z
      .number()
      .positive()
      .optional()
      .describe(
        'LoRA scale numerator; the update is multiplied by alpha / rank. Default 2 x rank. Refused for MoRA, which has no scale.',
      ),
    use_rslora: z
      .boolean()
      .optional()
      .describe('Scale by alpha / sqrt(rank) instead of alpha / rank. LoRA only. Default false.'),
  },
  shared: ['rank', 'dropout', 'target_modules'],
  config: LoraConfig,
  resolve: (request, match) => {
    const rank = request.rank ?? RANK_DEFAULT;
    const { layers, adapted } = resolveAdapted(request, match);
    refuseHighRank(rank, layers);
    return {
      type: 'lora',
      rank,
      alpha: request.alpha ?? 2 * rank,
      use_rslora: request.use_rslora ?? false,
      ...adapted,
    };
  },
  trainableParameters: ({ rank }, layers) => sumOf(layers, ({ inDim, outDim }) => (inDim + outDim) * rank),
  learningRate: () => 1,
  variants: [{ spelling: 'lora', request: { type: 'lora' } }],
  kind: () => '',
  label: ({ rank }) => `lora r${rank}`,
  color: 'lora',
  withoutExport: () => null,
});

/** A product of thin matrices has at most the rank of the layer; what goes beyond it learns nothing. */
function refuseHighRank(rank: number, shapes: readonly LinearShape[]): void {
  const rankMax = Math.min(...shapes.map(({ inDim, outDim }) => Math.min(inDim, outDim)));
  const narrow = shapes.find(({ inDim, outDim }) => Math.min(inDim, outDim) === rankMax);
  if (rank <= rankMax || !narrow) return;
  throw tooLargeRank(
    `'adapter.rank' is ${rank}, but ${narrow.name} is ${narrow.outDim} by ${narrow.inDim}, whose rank is at most ${rankMax}.`,
    rankMax,
  );
}
