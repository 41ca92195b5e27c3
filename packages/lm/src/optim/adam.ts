import { loadTf, type Scope, type Tensor } from '@moraine/engine';
import { type Gradient, meanGradient, type Optimizer, slotName } from './optimizer.js';

export interface AdamOptions {
  beta1: number;
  beta2: number;
  eps: number;
}

type Scalar = 'correction1' | 'rootCorrection2';
type Scalars = Readonly<Record<Scalar, Tensor>>;
const slots = ['moment1', 'moment2'] as const;

/**
 * Adam as PyTorch computes it (Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1): eps is added after the bias correction of the root. With
 * decoupled decay before it, AdamW. The corrections come from the host because 1 - 0.999 in float32 is 5e-5 off.
 */
export function adam(options: AdamOptions): Optimizer<Scalar> {
  const { beta1, beta2 } = options;
  return {
    slots,
    scalarsAt: (step) => ({ correction1: 1 - beta1 ** step, rootCorrection2: Math.sqrt(1 - beta2 ** step) }),
    update: (gradient, scalars, scope) => {
      if (scope.fused === undefined) composed(options, gradient, scalars, scope);
      else scope.fused(fused(options, gradient, scalars));
    },
  };
}

function composed({ beta1, beta2, eps }: AdamOptions, gradient: Gradient, scalars: Scalars, scope: Scope): void {
  const tf = loadTf();
  const { name, learningRate, value = scope.read(name) } = gradient;
  const grad = meanGradient(gradient);
  const [slot1, slot2] = [slotName(name, 'moment1'), slotName(name, 'moment2')];
  const [moment1, moment2] = [scope.read(slot1), scope.read(slot2)];
  const next1 = tf.add(moment1, tf.mul(tf.sub(grad, moment1), 1 - beta1)) as Tensor;
  const next2 = tf.add(tf.mul(moment2, beta2), tf.mul(tf.square(grad), 1 - beta2)) as Tensor;
  const root = tf.add(tf.div(tf.sqrt(next2), scalars.rootCorrection2), eps);
  scope.assign(name, tf.sub(value, tf.mul(tf.div(next1, root), tf.div(learningRate, scalars.correction1))));
  scope.assign(slot1, next1);
  scope.assign(slot2, next2);
}

/**
 * ResourceApplyAdam computes value -= alpha · m / (sqrt(v) + eps) with alpha = lr · sqrt(1 - power2) / (1 - power1). With both powers given
 * as zero, the corrections are folded into lr and eps so that it is PyTorch's formula, eps after the correction. It takes 1 - beta in float32
 * (5e-5 off for 0.999), which scales the moments by a constant; the same constants in alpha and eps undo it.
 */
function fused({ beta1, beta2, eps }: AdamOptions, gradient: Gradient, { correction1, rootCorrection2 }: Scalars) {
  const tf = loadTf();
  const { name, value, learningRate } = gradient;
  const grad = meanGradient(gradient);
  const excess1 = (1 - Math.fround(beta1)) / (1 - beta1);
  const rootExcess2 = Math.sqrt((1 - Math.fround(beta2)) / (1 - beta2));
  // Equal nodes are merged, so all variables share these.
  const alpha = tf.mul(tf.div(tf.mul(learningRate, rootCorrection2), correction1), rootExcess2 / excess1) as Tensor;
  const epsilon = tf.mul(rootCorrection2, eps * rootExcess2) as Tensor;
  return {
    op: 'ResourceApplyAdam',
    variables: [name, ...slots.map((slot) => slotName(name, slot))],
    start: value,
    inputs: [0, 0, alpha, beta1, beta2, epsilon, grad],
    flags: { use_locking: false, use_nesterov: false },
  };
}
