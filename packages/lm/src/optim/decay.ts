import { loadTf } from '@moraine/engine';
import type { Link } from './optimizer.js';

/**
 * Decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2): multiplies a matrix by 1 - learning rate · decay before
 * the update. Vectors, which are norms here, do not decay.
 */
export function decoupledDecay(decay: number): Link {
  return (gradient, scope) => {
    if (gradient.shape.length < 2) return gradient;
    const tf = loadTf();
    const kept = tf.sub(1, tf.mul(gradient.learningRate, decay));
    return { ...gradient, value: tf.mul(gradient.value ?? scope.read(gradient.name), kept) };
  };
}
