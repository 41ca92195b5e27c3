import { z } from 'zod';
import type { LinearShape } from '../architectures/tensor.js';
import { ADAPTED, defineMethod, RANK_DEFAULT, resolveAdapted, sumOf, tooLargeRank } from './method.js';

/** Operator of MoRA: 1 shares rows and columns (arXiv:2405.12130, Eq. 6), 6 rotates blocks (Eq. 9). Numbers are the authors' code's. */
export const MoraType = z.union([z.literal(1), z.literal(6)]);
export type MoraType = z.infer<typeof MoraType>;

const MoraConfig = z.strictObject({ type: z.literal('mora'), rank: z.int(), mora_type: MoraType, ...ADAPTED });
export type MoraConfig = z.output<typeof MoraConfig>;

export const mora = defineMethod({
  type: 'mora',
  spellings: ['moa'],
  name: 'MoRA',
  keys: {
    mora_type: MoraType.optional().describe(
      'MoRA operator: 1 shares rows and columns, 6 rotates blocks. Default 6 below rank 64, else 1. MoRA only.',
    ),
  },
  shared: ['rank', 'dropout', 'target_modules'],
  foreignHint: (key) =>
    ({
      alpha: 'Leave it out: MoRA has no scale; its learning rate does that work.',
      use_rslora: 'Leave it out: MoRA has no scale.',
    })[key],
  config: MoraConfig,
  resolve: (request, match) => {
    const rank = request.rank ?? RANK_DEFAULT;
    const mora_type = request.mora_type ?? resolveMoraType(rank);
    const { layers, adapted } = resolveAdapted(request, match);
    refuseWideSquare(rank, mora_type, layers);
    return { type: 'mora', rank, mora_type, ...adapted };
  },
  trainableParameters: ({ rank, mora_type }, layers) =>
    sumOf(layers, ({ inDim, outDim }) => moraSide(inDim, outDim, rank, mora_type) ** 2),
  // The first step of sharing moves the weights as far as full fine-tuning does at the same rate (arXiv:2405.12130 tunes accordingly).
  learningRate: ({ mora_type }) => (mora_type === 6 ? 1 : 0.5),
  variants: [
    { spelling: 'mora', aliases: ['moa'], request: { type: 'mora' } },
    { spelling: 'mora-1', aliases: ['moa-1', 'mora1', 'moa1'], request: { type: 'mora', mora_type: 1 } },
    { spelling: 'mora-6', aliases: ['moa-6', 'mora6', 'moa6'], request: { type: 'mora', mora_type: 6 } },
  ],
  kind: ({ mora_type }) => (mora_type === 6 ? 'rotation' : 'sharing'),
  label: ({ rank, mora_type }) => `mora type ${mora_type} r${rank}`,
  color: 'mora',
  withoutExport: ({ mora_type }, format) =>
    format === 'peft' && mora_type !== 1
      ? `MoRA type ${mora_type} turns its input block by block before the square matrix, which is no product of two thin matrices, so PEFT's LoRA cannot hold it.`
      : null,
});

/** The operator that the authors advise for a rank: rotation for small ones, sharing from 64 on. */
export const resolveMoraType = (rank: number): MoraType => (rank < 64 ? 6 : 1);

/**
 * Side R of MoRA's square matrix for a layer of widths `inDim` and `outDim`: the rounded root of LoRA's budget (in + out)·rank, made
 * even for rotation, which pairs coordinates. Half is rounded up, as the authors' code does; the paper writes floor.
 */
export function moraSide(inDim: number, outDim: number, rank: number, type: MoraType): number {
  const side = Math.floor(Math.sqrt((inDim + outDim) * rank) + 0.5);
  return type === 6 ? 2 * Math.floor(side / 2) : side;
}

/** A square matrix with more numbers than the layer would be full fine-tuning with fewer freedoms. */
function refuseWideSquare(rank: number, type: MoraType, shapes: readonly LinearShape[]): void {
  const isTooWide = (tried: number, { inDim, outDim }: LinearShape): boolean =>
    moraSide(inDim, outDim, tried, type) ** 2 > inDim * outDim;
  const narrow = shapes.find((shape) => isTooWide(rank, shape));
  if (!narrow) return;
  let rankMax = rank - 1;
  while (rankMax > 1 && shapes.some((shape) => isTooWide(rankMax, shape))) rankMax--;
  const side = moraSide(narrow.inDim, narrow.outDim, rank, type);
  throw tooLargeRank(
    `'adapter.rank' is ${rank}, which gives ${narrow.name} (${narrow.outDim} by ${narrow.inDim}) a square matrix of ${side} by ${side}, more numbers than the layer has.`,
    rankMax,
  );
}
