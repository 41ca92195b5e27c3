import { loadTf, type Tensor } from '@moraine/engine';
import type { Gradient, Link } from './optimizer.js';

/**
 * Decoupled weight decay (Loshchilov & Hutter 2019, arXiv:1711.05101, Algorithm 2): multiplies a matrix by 1 - learning rate · decay before
 * the update. Vectors, which are norms here, do not decay.
 */
export function decoupledDecay(decay: number): Link {
  return decayBy(({ learningRate }) => loadTf().mul(learningRate, decay) as Tensor);
}

/**
 * The same with the learning rate's share of its peak instead of the learning rate: 1 - decay · rate / peak. A run's decay is then the same
 * at every rate, and so is that of variables with rates of their own. Composer's DecoupledLionW and DecoupledAdamW, which the runs of
 * arXiv:2405.09673 used: https://github.com/mosaicml/composer/blob/v0.17.0/composer/optim/decoupled_weight_decay.py
 */
export function scheduledDecay(decay: number, peak: number): Link {
  return decayBy(({ runRate }) => loadTf().mul(runRate, decay / peak) as Tensor);
}

/** Takes a share off every matrix; vectors are left alone. */
const decayBy =
  (shareOf: (gradient: Gradient) => Tensor): Link =>
  (gradient, scope) => {
    if (gradient.shape.length < 2) return gradient;
    const tf = loadTf();
    const kept = tf.sub(1, shareOf(gradient));
    return { ...gradient, value: tf.mul(gradient.value ?? scope.read(gradient.name), kept) };
  };
