import { z } from 'zod';
import { refuseHighRank } from './lora.js';
import { ADAPTED, defineMethod, RANK_DEFAULT, resolveAdapted, sumOf } from './method.js';
import { PEFT, readCount, readDropout, refuseOther, type StoredForm, type StoredOptions } from './stored.js';

const HiraConfig = z.strictObject({ type: z.literal('hira'), rank: z.int(), ...ADAPTED });
export type HiraConfig = z.output<typeof HiraConfig>;

/** HiRA (Huang et al. 2025, ICLR): the update is the weight itself times a low-rank matrix, entry by entry, so its rank is high. */
export const hira = defineMethod({
  type: 'hira',
  spellings: [],
  name: 'HiRA',
  keys: {},
  shared: ['rank', 'dropout', 'target_modules'],
  foreignHint: (key) => (key === 'alpha' || key === 'use_rslora' ? 'Leave it out: HiRA has no scale.' : undefined),
  config: HiraConfig,
  resolve: (request, match) => {
    const rank = request.rank ?? RANK_DEFAULT;
    const { layers, adapted } = resolveAdapted(request, match);
    refuseHighRank(rank, layers);
    return { type: 'hira', rank, ...adapted };
  },
  trainableParameters: ({ rank }, layers) => sumOf(layers, ({ inDim, outDim }) => (inDim + outDim) * rank),
  // An entry of the update is one of B·A times one of the weight, which is small: PEFT's comparison took 45 times LoRA's rate.
  learningRate: () => 10,
  variants: [{ spelling: 'hira', request: { type: 'hira' } }],
  kind: () => '',
  label: ({ rank }) => `hira r${rank}`,
  color: 'hira',
  withoutExport: () => null,
});

/** What PEFT could do otherwise and is done one way here. */
export const HIRA_FIXED = { fan_in_fan_out: false } as const;

export const hiraForm = {
  ...PEFT,
  peftType: 'HIRA',
  options: (json, file) => {
    refuseOther(file, json, HIRA_FIXED);
    return { type: 'hira', rank: readCount(file, json, 'r'), dropout: readDropout(json, 'hira_dropout') };
  },
} satisfies StoredForm<StoredOptions<HiraConfig>>;
