import { type AdamHyper, loadTf, type Tensor } from '@moraine/engine';

/**
 * AdamW as PyTorch computes it (Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2): decay is decoupled and scaled by the learning
 * rate alone, eps is added after the bias correction of the root. The update itself is the engine's `Scope.adam`.
 */
export interface AdamwHyper extends AdamHyper {
  /** Applied to matrices only; 0 is off. */
  weightDecay: number;
}

/**
 * What changes from step to step, fed as scalars so that a traced step stays the same graph. The corrections come from the host because
 * 1 - 0.999 in float32 is 5e-5 off. The first step is t = 1.
 */
export function adamwFeeds(step: number, learningRate: number, { beta1, beta2 }: AdamHyper) {
  return { learningRate, correction1: 1 - beta1 ** step, rootCorrection2: Math.sqrt(1 - beta2 ** step) };
}

/** Euclidean norm of all gradients together, as a scalar. */
export function globalNorm(grads: readonly Tensor[]): Tensor {
  const tf = loadTf();
  return tf.sqrt(tf.addN(grads.map((grad) => tf.sum(tf.square(grad)))));
}

/** Factor that brings a norm down to `normMax` and leaves smaller ones: min(1, max / (norm + 1e-6)), as PyTorch clips. */
export function clipFactor(norm: Tensor, normMax: number): Tensor {
  const tf = loadTf();
  return tf.minimum(1, tf.div(normMax, tf.add(norm, 1e-6)));
}
