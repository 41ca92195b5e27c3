import { type DoraConfig, doraForm } from '@moraine/contract/methods/dora';
import { inFloat32, loadTf, matMul2d, type Tensor } from '@moraine/engine';
import { onHost, toDevice } from '../host.js';
import { differentiable } from '../ops.js';
import { loraFactors, loraFiles, loraInit, loraPairs, loraPlus, lowRank, readLora, scaleOf } from './lora.js';
import { type Method, type MethodModule, type ReadLayers, role } from './method.js';
import { type AdapterSource, checkShape, part } from './source.js';

type DoraOptions = Pick<DoraConfig, 'rank' | 'alpha' | 'use_rslora' | 'lora_plus_ratio'>;
const MAGNITUDE = 'lora_magnitude_vector';
/** Least norm of a row that m is divided by. */
const SMALLEST = 1e-30;

export const dora: MethodModule<DoraOptions> = {
  create,
  stored: { form: doraForm, read },
};

/**
 * DoRA: W' = m ∘ V / ‖V‖ with V = W0 + scale · B·A and norms of the rows of W0 [out, in]; m starts as those of W0, so that a fresh adapter
 * changes nothing. The norm counts as a constant in the gradient (Liu et al. 2024, arXiv:2402.09353, §4.3). As y0 is the base's answer to x
 * without dropout, dropout acts on the part of A and B alone; PEFT drops inputs of both.
 */
function create(options: DoraOptions): Method {
  const { rank } = options;
  const scale = scaleOf(options);
  return {
    needsValues: true,
    ...loraPlus(options),
    init: (dims, random) => ({
      ...loraInit(rank, dims, random),
      [MAGNITUDE]: { shape: [dims.outDim], data: new Float32Array(dims.outDim) },
    }),
    fit: (weight) => ({ [MAGNITUDE]: onHost(() => rowNorms(toDevice(weight))) }),
    apply: (x, weight, y0, variables) => {
      const tf = loadTf();
      const { a, b } = loraFactors(variables);
      const factor = rowFactor(role(variables, MAGNITUDE), weight, a, b, scale);
      return tf.mul(tf.add(y0, lowRank(x, a, b, scale)), factor);
    },
    toPeft: (adapter) => {
      const files = loraFiles(adapter, loraPairs(adapter, options), rank, options.use_rslora ? rank : options.alpha);
      for (const { name, value } of adapter.layers)
        files.tensors.set(`base_model.model.${name}.${MAGNITUDE}`, value(MAGNITUDE));
      return { ...files, config: { ...files.config, use_dora: true } };
    },
  };
}

/** m / ‖W0 + scale · B·A‖ of every row, with a gradient for m alone: m [out] -> [out]. */
function rowFactor(m: Tensor, weight: Tensor, a: Tensor, b: Tensor, scale: number): Tensor {
  const tf = loadTf();
  return differentiable(
    [m],
    () => {
      const norms = rowNorms(tf.add(inFloat32(weight), tf.mul(matMul2d(b, a), scale)));
      // A row of zeros, as pruning leaves, has a magnitude of 0 and no direction: it stays 0.
      const divisors = tf.maximum(norms, SMALLEST) as Tensor;
      return { value: tf.div(m, divisors), saved: [divisors] };
    },
    (dy, [divisors]) => [tf.div(dy, divisors)],
  );
}

/** Euclidean norm of every row: [out, in] -> [out]. */
function rowNorms(weight: Tensor): Tensor {
  const tf = loadTf();
  return tf.sqrt(tf.sum(tf.square(weight), 1));
}

/** A DoRA in PEFT's layout. */
function read(source: AdapterSource): ReadLayers {
  const found = readLora(source, 'DoRA', [MAGNITUDE], doraForm.options(source.json, source.file));
  for (const { name, outDim } of found.layers)
    checkShape(source, `${name}.${MAGNITUDE}`, part(source, found.variables, `${name}.${MAGNITUDE}`), [outDim]);
  return found;
}
