import { loadTf, type Tensor } from '@moraine/engine';
import { type Adapter, layerVariables } from './adapter.js';
import { asMatrix, type HostTensor, onHost, toDevice } from './host.js';
import { between, scaledRoles } from './lambda.js';

/**
 * Merges one weight of the base at a time, by name: `<path>.weight`, W0 [out, in] -> W' [out, in] in float32. W'ᵀ = apply(I, W0, W0ᵀ),
 * block of rows by block, so a method has no merging code of its own. With λ, the share of the update that is applied: 1 is all of it, 0
 * gives the base bit for bit. Weights that are trained whole are
 * among the variables under their own names; those that nothing touches come back as they are.
 */
export function createMerge(
  adapter: Adapter,
  variables: ReadonlyMap<string, HostTensor>,
  lambda = 1,
): (name: string, base: HostTensor) => HostTensor {
  const tf = loadTf();
  const layers = layerVariables(adapter, variables);
  return (name, base) => {
    if (lambda === 0) return base;
    const trained = variables.get(name);
    if (trained !== undefined) return between(base, trained, lambda);
    const roles = layers.get(name.replace(/\.weight$/, ''));
    if (roles === undefined) return base;
    const isScaled = adapter.method.scales !== undefined;
    const scaled = isScaled ? scaledRoles(adapter.method, roles, lambda) : roles;
    return onHost(() => {
      const onDevice = Object.fromEntries(Object.entries(scaled).map(([role, value]) => [role, toDevice(value)]));
      const weight = toDevice(base);
      const whole = mergedWeight(adapter, weight, onDevice);
      if (lambda === 1 || isScaled) return whole;
      return tf.add(weight, tf.mul(lambda, tf.sub(whole, weight))); // W0 + λ(W − W0)
    });
  };
}

/** W' [out, in] of one layer. */
function mergedWeight(adapter: Adapter, weight: Tensor, variables: Readonly<Record<string, Tensor>>): Tensor {
  const tf = loadTf();
  const [outDim = 0, inDim = 0] = weight.shape;
  const transposed = asMatrix((unit, first) => {
    const y0 = tf.transpose(tf.slice(weight, [0, first], [outDim, unit.shape[0] ?? 0])); // [rows, out]
    return adapter.method.apply(unit, weight, y0, variables);
  }, inDim);
  return tf.transpose(transposed);
}
