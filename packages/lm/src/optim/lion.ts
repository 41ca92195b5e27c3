import { loadTf } from '@moraine/engine';
import { meanGradient, type Optimizer, slotName } from './optimizer.js';

/**
 * Lion (Chen et al. 2023, arXiv:2302.06675, Algorithm 2): the sign of a mix of gradient and momentum, at the learning rate. One slot, half of
 * Adam's state; its rate is a few times smaller. Decoupled decay comes before it, as in the paper.
 */
export function lion({ beta1, beta2 }: { beta1: number; beta2: number }): Optimizer<never> {
  return {
    slots: ['momentum'],
    scalarsAt: () => ({}),
    update: (gradient, _scalars, scope) => {
      const tf = loadTf();
      const { name, learningRate, value = scope.read(name) } = gradient;
      const slot = slotName(name, 'momentum');
      const momentum = scope.read(slot);
      const grad = meanGradient(gradient);
      const mix = (beta: number) => tf.add(tf.mul(momentum, beta), tf.mul(grad, 1 - beta));
      scope.assign(name, tf.sub(value, tf.mul(tf.sign(mix(beta1)), learningRate)));
      scope.assign(slot, mix(beta2));
    },
  };
}
