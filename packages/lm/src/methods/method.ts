import type { MoraType } from '@moraine/contract';
import type { Tensor } from '@moraine/engine';
import type { HostTensor } from '../host.js';
import type { Random } from '../random.js';

/** A method as far as its files need it. */
export type MethodShape = { type: 'lora'; rank: number } | { type: 'mora'; rank: number; moraType: MoraType };

/** Width of a linear layer: x has `inDim` features, y has `outDim`. */
export interface LinearDims {
  inDim: number;
  outDim: number;
}

/**
 * A training method for one linear layer y = x·W0ᵀ. `apply` must be linear in x: merging is apply(I, W0, W0ᵀ), not a second
 * implementation.
 */
export interface Method {
  /** What the method is, for counting and export. */
  shape: MethodShape;
  /** Starting values of the layer's variables by role; a fresh adapter changes nothing. */
  init(dims: LinearDims, random: Random): Record<string, HostTensor>;
  /** x [N, in], weight [out, in], y0 = x·W0ᵀ [N, out] -> adapted y [N, out]. */
  apply(x: Tensor, weight: Tensor, y0: Tensor, variables: Readonly<Record<string, Tensor>>): Tensor;
  /** The same for several layers that read one x, where sharing work between them pays. */
  applyAll?(x: Tensor, layers: readonly LayerInput[]): Tensor[];
}

/** One layer of several that read the same input. */
export interface LayerInput {
  y0: Tensor;
  variables: Readonly<Record<string, Tensor>>;
}

/** A variable of a layer by role. @throws Error when the adapter does not hold it. */
export function role<T>(variables: Readonly<Record<string, T>>, name: string): T {
  const tensor = variables[name];
  if (tensor === undefined)
    throw new Error(`the adapted layer has no ${name}, only ${Object.keys(variables).join(', ')}`);
  return tensor;
}
