import { z } from 'zod';
import type { LinearShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import { LORA_KEYS, refuseHighRank } from './lora.js';
import { ADAPTED, defineMethod, RANK_DEFAULT, resolveAdapted, sumOf } from './method.js';
import {
  PEFT,
  readCount,
  readDropout,
  readNumber,
  refuseOther,
  type StoredForm,
  type StoredOptions,
} from './stored.js';

const BLOCKS_DEFAULT = 2;
const GraloraConfig = z.strictObject({
  type: z.literal('gralora'),
  rank: z.int(),
  alpha: z.number(),
  sub_blocks: z.int(),
  ...ADAPTED,
});
export type GraloraConfig = z.output<typeof GraloraConfig>;

/** GraLoRA (Jung et al. 2025, arXiv:2505.20355): a small LoRA in each of g by g blocks of the weight, of a rank up to g times as high. */
export const gralora = defineMethod({
  type: 'gralora',
  spellings: [],
  name: 'GraLoRA',
  keys: {
    alpha: LORA_KEYS.alpha,
    sub_blocks: z.int().min(1).max(64).optional().meta({
      default: BLOCKS_DEFAULT,
      description:
        'Blocks of GraLoRA along each side of a weight; divides the rank and the inputs and outputs of every layer. GraLoRA only.',
    }),
  },
  shared: ['rank', 'dropout', 'target_modules'],
  config: GraloraConfig,
  resolve: (request, match) => {
    const { rank = RANK_DEFAULT, sub_blocks = BLOCKS_DEFAULT } = request;
    const { layers, adapted } = resolveAdapted(request, match);
    refuseHighRank(rank, layers);
    refuseUneven(rank, sub_blocks, layers);
    return { type: 'gralora', rank, alpha: request.alpha ?? 2 * rank, sub_blocks, ...adapted };
  },
  trainableParameters: ({ rank }, layers) => sumOf(layers, ({ inDim, outDim }) => (inDim + outDim) * rank),
  learningRate: () => 1,
  variants: [{ spelling: 'gralora', request: { type: 'gralora' } }],
  kind: () => '',
  label: ({ rank, sub_blocks }) => `gralora r${rank} g${sub_blocks}`,
  color: 'gralora',
  withoutExport: () => null,
});

function refuseUneven(rank: number, blocks: number, layers: readonly LinearShape[]): void {
  const sizes = [
    { what: 'the rank', size: rank },
    ...layers.flatMap(({ name, inDim, outDim }) => [
      { what: `the inputs of ${name}`, size: inDim },
      { what: `the outputs of ${name}`, size: outDim },
    ]),
  ];
  const uneven = sizes.find(({ size }) => size % blocks !== 0);
  if (uneven === undefined) return;
  throw new AppError(
    'invalid_value',
    `'adapter.sub_blocks' is ${blocks}, which does not divide ${uneven.what}, ${uneven.size}.`,
    { param: 'adapter.sub_blocks', hint: 'Take a number that divides the rank and both sides of every layer.' },
  );
}

/** What PEFT could do otherwise and is done one way here. */
export const GRALORA_FIXED = { hybrid_r: 0, fan_in_fan_out: false } as const;

export const graloraForm = {
  ...PEFT,
  peftType: 'GRALORA',
  options: (json, file) => {
    refuseOther(file, json, GRALORA_FIXED);
    return {
      type: 'gralora',
      rank: readCount(file, json, 'r'),
      alpha: readNumber(file, json, 'alpha'),
      sub_blocks: readCount(file, json, 'gralora_k'),
      dropout: readDropout(json, 'gralora_dropout'),
    };
  },
} satisfies StoredForm<StoredOptions<GraloraConfig>>;
