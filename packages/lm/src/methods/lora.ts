import { loadTf, matMul2d, type Tensor } from '@moraine/engine';
import { at, differentiable, linear } from '../ops.js';
import { uniform } from '../random.js';
import { type Method, role } from './method.js';

export interface LoraOptions {
  rank: number;
  /** Numerator of the scale. */
  alpha: number;
  /** Scale by alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023, arXiv:2312.03732). */
  useRslora: boolean;
}

export interface LoraMethod extends Method {
  shape: { type: 'lora'; rank: number };
  options: LoraOptions;
  /** What the update is multiplied by. */
  scale: number;
}

/**
 * LoRA: y = x·W0ᵀ + scale · (x·Aᵀ)·Bᵀ, with lora_A [r, in] random and lora_B [out, r] zero, so that a fresh adapter changes nothing.
 * Hu et al. 2021, arXiv:2106.09685, Eq. 3 and §4.1; scale = alpha / r. Differs from the paper as the authors' code does: A is
 * Kaiming-uniform, U(±1/sqrt(in)), not Gaussian, and dropout acts on x.
 */
export function lora(options: LoraOptions): LoraMethod {
  const { rank, alpha, useRslora } = options;
  const scale = alpha / (useRslora ? Math.sqrt(rank) : rank);
  return {
    shape: { type: 'lora', rank },
    options,
    scale,
    init: ({ inDim, outDim }, random) => ({
      lora_A: { shape: [rank, inDim], data: uniform(random, rank * inDim, 1 / Math.sqrt(inDim)) },
      lora_B: { shape: [outDim, rank], data: new Float32Array(outDim * rank) },
    }),
    apply: (x, _weight, y0, variables) =>
      loadTf().add(y0, lowRank(x, role(variables, 'lora_A'), role(variables, 'lora_B'), scale)),
    applyAll: (x, layers) => {
      const tf = loadTf();
      // One product with all A together reads x once, forwards and backwards; products this narrow are bound by that.
      const all = tf.concat(
        layers.map(({ variables }) => role(variables, 'lora_A')),
        0,
      ) as Tensor; // [k·r, in]
      const inner = tf.split(tf.mul(linear(x, all), scale), layers.length, 1) as Tensor[]; // k times [N, r]
      return layers.map(({ y0, variables }, i) => tf.add(y0, linear(at(inner, i), role(variables, 'lora_B'))));
    },
  };
}

/** scale · (x·Aᵀ)·Bᵀ: x [N, in], a [r, in], b [out, r] -> [N, out]. The scale is multiplied into small matrices only. */
function lowRank(x: Tensor, a: Tensor, b: Tensor, scale: number): Tensor {
  const tf = loadTf();
  return differentiable(
    [x, a, b],
    () => {
      const inner = tf.mul(matMul2d(x, a, false, true), scale); // [N, r]
      return { value: matMul2d(inner, b, false, true), saved: [x, a, b, inner] };
    },
    (dy, saved) => {
      const dInner = tf.mul(matMul2d(dy, at(saved, 2)), scale); // [N, r]
      const dx = matMul2d(dInner, at(saved, 1));
      return [dx, matMul2d(dInner, at(saved, 0), true), matMul2d(dy, at(saved, 3), true)];
    },
  );
}
