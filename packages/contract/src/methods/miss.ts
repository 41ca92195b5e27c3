import { z } from 'zod';
import { ADAPTED, defineMethod, RANK_DEFAULT, resolveAdapted, sumOf, tooLargeRank } from './method.js';
import { PEFT, readCount, readDropout, refuseOther, type StoredForm, type StoredOptions } from './stored.js';

const MissConfig = z.strictObject({ type: z.literal('miss'), rank: z.int(), ...ADAPTED });
export type MissConfig = z.output<typeof MissConfig>;

/** MiSS (Kang & Yin 2024, arXiv:2409.15371, first called Bone): inputs of equal index modulo the rank share a row of one trained matrix. */
export const miss = defineMethod({
  type: 'miss',
  spellings: [],
  name: 'MiSS',
  keys: {},
  shared: ['rank', 'dropout', 'target_modules'],
  foreignHint: (key) => (key === 'alpha' || key === 'use_rslora' ? 'Leave it out: MiSS has no scale.' : undefined),
  config: MissConfig,
  resolve: (request, match) => {
    const rank = request.rank ?? RANK_DEFAULT;
    const { layers, adapted } = resolveAdapted(request, match);
    const narrow = layers.reduce((least, layer) => (layer.inDim < least.inDim ? layer : least));
    if (rank > narrow.inDim)
      throw tooLargeRank(
        `'adapter.rank' is ${rank}, but ${narrow.name} has ${narrow.inDim} inputs to share among so many rows.`,
        narrow.inDim,
      );
    return { type: 'miss', rank, ...adapted };
  },
  trainableParameters: ({ rank }, layers) => sumOf(layers, ({ outDim }) => outDim * rank),
  // Its first step moves the weights as far as full fine-tuning does at the same rate, as that of MoRA's sharing.
  learningRate: () => 0.5,
  variants: [{ spelling: 'miss', request: { type: 'miss' } }],
  kind: () => '',
  label: ({ rank }) => `miss r${rank}`,
  color: 'miss',
  withoutExport: () => null,
});

/** What PEFT could do otherwise and is done one way here. */
export const MISS_FIXED = { init_weights: true } as const;

export const missForm = {
  ...PEFT,
  peftType: 'MISS',
  options: (json, file) => {
    refuseOther(file, json, MISS_FIXED);
    return { type: 'miss', rank: readCount(file, json, 'r'), dropout: readDropout(json, 'miss_dropout') };
  },
} satisfies StoredForm<StoredOptions<MissConfig>>;
