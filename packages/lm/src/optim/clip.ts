import { loadTf, type Tensor } from '@moraine/engine';
import type { Link } from './optimizer.js';

/** Scales the gradients of all variables down to one global norm, as PyTorch clips: by min(1, max / (norm + 1e-6)). */
export function clipByGlobalNorm(normMax: number): Link {
  return (gradient) => ({ ...gradient, scale: loadTf().mul(clipFactor(gradient.norm, normMax), gradient.scale) });
}

/** Euclidean norm of all gradients together, as a scalar. */
export function globalNorm(grads: readonly Tensor[]): Tensor {
  const tf = loadTf();
  return tf.sqrt(tf.addN(grads.map((grad) => tf.sum(tf.square(grad)))));
}

function clipFactor(norm: Tensor, normMax: number): Tensor {
  const tf = loadTf();
  return tf.minimum(1, tf.div(normMax, tf.add(norm, 1e-6)));
}
