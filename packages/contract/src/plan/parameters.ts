import type { LinearShape } from '../architectures/tensor.js';

/** Operator of MoRA: 1 shares rows and columns (arXiv:2405.12130, Eq. 6), 6 rotates blocks (Eq. 9). Numbers are the authors' code's. */
export type MoraOperator = 1 | 6;

/** A training method as far as counting parameters needs it. */
export type MethodShape =
  | { type: 'lora'; rank: number }
  | { type: 'mora'; rank: number; moraType: MoraOperator }
  | { type: 'none' };

/** The operator that the authors advise for a rank: rotation for small ones, sharing from 64 on. */
export function resolveMoraType(rank: number): MoraOperator {
  return rank < 64 ? 6 : 1;
}

/**
 * Side R of MoRA's square matrix for a layer of widths `inDim` and `outDim`: the rounded root of LoRA's budget (in + out)·rank, made
 * even for rotation, which pairs coordinates. Half is rounded up, as the authors' code does; the paper writes floor.
 */
export function moraSide(inDim: number, outDim: number, rank: number, type: MoraOperator): number {
  const side = Math.floor(Math.sqrt((inDim + outDim) * rank) + 0.5);
  return type === 6 ? 2 * Math.floor(side / 2) : side;
}

/** Trainable numbers of one adapted layer. */
export function layerParameters(method: MethodShape, { inDim, outDim }: LinearShape): number {
  switch (method.type) {
    case 'lora':
      return (inDim + outDim) * method.rank;
    case 'mora':
      return moraSide(inDim, outDim, method.rank, method.moraType) ** 2;
    case 'none':
      return inDim * outDim;
    default:
      return method satisfies never;
  }
}

/** Trainable numbers of a method on the given layers; for `none`, `totalParameters` of the model. */
export function trainableParameters(
  method: MethodShape,
  shapes: readonly LinearShape[],
  totalParameters: number,
): number {
  if (method.type === 'none') return totalParameters;
  return shapes.reduce((sum, shape) => sum + layerParameters(method, shape), 0);
}
