import { loadTf, type Tensor } from '@moraine/engine';
import { at } from '../ops.js';

/**
 * AdamW as PyTorch computes it (Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2): decay is decoupled and scaled by the learning
 * rate alone, eps is added after the bias correction of the root.
 */
export interface AdamwHyper {
  beta1: number;
  beta2: number;
  eps: number;
  /** Applied to matrices only; 0 is off. */
  weightDecay: number;
}

/**
 * What changes from step to step, as scalar tensors so that a traced step stays the same graph. The corrections come from the host
 * because 1 - 0.999 in float32 is 5e-5 off.
 */
export interface AdamwScalars {
  learningRate: Tensor;
  /** 1 - beta1^t; the first step is t = 1. */
  correction1: Tensor;
  /** sqrt(1 - beta2^t) */
  rootCorrection2: Tensor;
}

/** The scalars of step t, uploaded. */
export function adamwScalars(step: number, learningRate: number, { beta1, beta2 }: AdamwHyper): AdamwScalars {
  const tf = loadTf();
  return {
    learningRate: tf.scalar(learningRate),
    correction1: tf.scalar(1 - beta1 ** step),
    rootCorrection2: tf.scalar(Math.sqrt(1 - beta2 ** step)),
  };
}

export type AdamwSlot = {
  value: Tensor;
  moment1: Tensor;
  moment2: Tensor;
};

/**
 * One update of every variable; returns new tensors and changes none. Moments start at zero. Factors that all variables share are computed
 * once: in eager mode a small model spends as long on scalars as on its variables.
 */
export function adamwUpdate(
  slots: readonly AdamwSlot[],
  grads: readonly Tensor[],
  scalars: AdamwScalars,
  hyper: AdamwHyper,
): AdamwSlot[] {
  const tf = loadTf();
  const { learningRate, correction1, rootCorrection2 } = scalars;
  const [rest1, keep2, rest2] = [tf.scalar(1 - hyper.beta1), tf.scalar(hyper.beta2), tf.scalar(1 - hyper.beta2)];
  const eps = tf.scalar(hyper.eps);
  const stepSize = tf.div(learningRate, correction1);
  const decay = tf.sub(1, tf.mul(learningRate, hyper.weightDecay));
  return slots.map(({ value, moment1, moment2 }, i) => {
    const grad = at(grads, i);
    const next1 = tf.add(moment1, tf.mul(tf.sub(grad, moment1), rest1));
    const next2 = tf.add(tf.mul(moment2, keep2), tf.mul(tf.square(grad), rest2));
    const root = tf.add(tf.div(tf.sqrt(next2), rootCorrection2), eps);
    const decays = hyper.weightDecay !== 0 && value.shape.length >= 2;
    const decayed = decays ? tf.mul(value, decay) : value;
    return { value: tf.sub(decayed, tf.mul(tf.div(next1, root), stepSize)), moment1: next1, moment2: next2 };
  });
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
