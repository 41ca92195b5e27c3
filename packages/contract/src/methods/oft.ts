import { z } from 'zod';
import { ADAPTED, defineMethod, resolveAdapted, sumOf } from './method.js';
import { PEFT, readCount, refuseOther, type StoredForm, type StoredOptions } from './stored.js';

const BLOCK_DEFAULT = 32;
const OftConfig = z.strictObject({
  type: z.literal('oft'),
  block_size: z.int(),
  /** Present where it was asked for; absent: the series. */
  rotation: z.literal('cayley').optional(),
  ...ADAPTED,
});
export type OftConfig = z.output<typeof OftConfig>;

/** OFT (Qiu et al. 2023, arXiv:2306.07280) on the input side, as PEFT has it. */
export const oft = defineMethod({
  type: 'oft',
  spellings: [],
  name: 'OFT',
  keys: {
    block_size: z.int().min(2).max(1024).optional().meta({
      default: BLOCK_DEFAULT,
      description: 'Side of the blocks of OFT, or the nearest divisor of the inputs of a layer. OFT only.',
    }),
    rotation: z
      .enum(['series', 'cayley'])
      .optional()
      .describe(
        "How OFT makes rotations: the first five terms of Cayley's series, PEFT's default, or `cayley`, exactly. OFT only. Default series.",
      ),
  },
  shared: ['target_modules'],
  config: OftConfig,
  resolve: ({ block_size = BLOCK_DEFAULT, rotation, target_modules }, match) => ({
    type: 'oft',
    block_size,
    ...(rotation === 'cayley' ? { rotation } : {}),
    ...resolveAdapted({ target_modules }, match).adapted,
  }),
  trainableParameters: ({ block_size }, layers) =>
    sumOf(layers, ({ inDim }) => (inDim * (oftBlock(inDim, block_size) - 1)) / 2),
  learningRate: () => 1,
  variants: [{ spelling: 'oft', request: { type: 'oft' } }],
  kind: () => '',
  label: ({ block_size }) => `oft b${block_size}`,
  color: 'oft',
  withoutExport: () => null,
});

/** Side of the blocks of a layer: the divisor of its inputs nearest to the one asked for, the smaller of two (PEFT's rule). */
export function oftBlock(inDim: number, asked: number): number {
  if (asked >= inDim) return inDim;
  for (let step = 0; ; step++) {
    if (inDim % (asked - step) === 0) return asked - step;
    if (inDim % (asked + step) === 0) return asked + step;
  }
}

/** What PEFT could do otherwise and is done one way here; the series has its own keys. */
export const OFT_FIXED = { coft: false, block_share: false, r: 0 } as const;
export const OFT_SERIES = { use_cayley_neumann: true, num_cayley_neumann_terms: 5 } as const;

export const oftForm = {
  ...PEFT,
  peftType: 'OFT',
  options: (json, file) => {
    const isCayley = json.use_cayley_neumann === false;
    refuseOther(file, json, isCayley ? OFT_FIXED : { ...OFT_FIXED, ...OFT_SERIES });
    const block_size = readCount(file, json, 'oft_block_size');
    return { type: 'oft', block_size, ...(isCayley ? { rotation: 'cayley' as const } : {}), dropout: 0 };
  },
} satisfies StoredForm<StoredOptions<OftConfig>>;
