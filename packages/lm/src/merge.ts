import type { LlamaConfig } from '@moraine/contract/plan';
import { loadTf, type Tensor } from '@moraine/engine';
import { type Adapter, adaptedLinears } from './adapter.js';
import { type HostTensor, toHost } from './host.js';

/** Rows of the identity that go through a method at once. */
const BLOCK_ROWS = 256;

/**
 * The weights that an adapter changes, merged: `<path>.weight` -> W' [out, in] in float32. W'ᵀ = apply(I, W0, W0ᵀ), block of rows by
 * block, so a method has no merging code of its own. Weights that are not in the result stay as they are in the base.
 */
export function mergeAdapter(
  config: LlamaConfig,
  weights: ReadonlyMap<string, Tensor>,
  adapter: Adapter,
  variables: ReadonlyMap<string, Tensor>,
): Map<string, HostTensor> {
  const tf = loadTf();
  const merged = new Map<string, HostTensor>();
  for (const [path, linear] of adaptedLinears(config, adapter, variables)) {
    const weight = weights.get(`${path}.weight`);
    if (weight === undefined) throw new Error(`the base holds no ${path}.weight`);
    const tensor = tf.tidy(() => mergedWeight(adapter, weight, linear.variables));
    merged.set(`${path}.weight`, toHost(tensor));
    tensor.dispose();
  }
  return merged;
}

/** W' [out, in] of one layer. */
function mergedWeight(adapter: Adapter, weight: Tensor, variables: Readonly<Record<string, Tensor>>): Tensor {
  const tf = loadTf();
  const [outDim = 0, inDim = 0] = weight.shape;
  const columns: Tensor[] = [];
  for (let first = 0; first < inDim; first += BLOCK_ROWS) {
    const rows = Math.min(BLOCK_ROWS, inDim - first);
    const block = tf.tidy(() => {
      const unit = new Float32Array(rows * inDim);
      for (let row = 0; row < rows; row++) unit[row * inDim + first + row] = 1;
      const y0 = tf.transpose(tf.slice(weight, [0, first], [outDim, rows])); // [rows, out]
      return adapter.method.apply(tf.tensor2d(unit, [rows, inDim]), weight, y0, variables);
    });
    columns.push(block);
  }
  return tf.transpose(columns.length === 1 ? (columns[0] ?? weight) : tf.concat(columns, 0));
}
