import { HIRA_FIXED, type HiraConfig, hiraForm } from '@moraine/contract/methods/hira';
import { inFloat32, loadTf, matMul2d, type Tensor } from '@moraine/engine';
import { differentiable } from '../ops.js';
import { loraInit } from './lora.js';
import { type Method, type MethodModule, type ReadLayers, role } from './method.js';
import { peftFiles, peftVariables } from './peft.js';
import { type AdapterSource, checkShape, layersOf, part } from './source.js';

type HiraOptions = Pick<HiraConfig, 'rank'>;

export const hira: MethodModule<HiraOptions> = { create, stored: { form: hiraForm, read } };

/**
 * HiRA: y = x·(W0 + W0 ∘ B·A)ᵀ with hira_A [r, in] random and hira_B [out, r] zero, so that a fresh adapter changes nothing; no scale.
 * Huang et al. 2025 (ICLR), Eq. 4, as PEFT computes it.
 */
function create({ rank }: HiraOptions): Method {
  return {
    scales: ['hira_B'],
    init: (dims, random) => {
      const { lora_A, lora_B } = loraInit(rank, dims, random);
      return { hira_A: lora_A, hira_B: lora_B };
    },
    apply: (x, weight, y0, variables) =>
      loadTf().add(y0, scaledWeight(x, weight, role(variables, 'hira_A'), role(variables, 'hira_B'))),
    toPeft: (adapter) => {
      const tensors = adapter.layers.flatMap(({ name, value }) =>
        ['hira_A', 'hira_B'].map((each) => [`${name}.${each}`, value(each)] as const),
      );
      const own = { ...HIRA_FIXED, r: rank, hira_dropout: adapter.dropout, init_weights: true, rank_pattern: {} };
      return peftFiles(adapter, 'HIRA', tensors, own);
    },
  };
}

/** x·(W0 ∘ B·A)ᵀ: x [N, in], weight [out, in], a [r, in], b [out, r] -> [N, out]. The product is made anew for the gradient, not kept. */
function scaledWeight(x: Tensor, weight: Tensor, a: Tensor, b: Tensor): Tensor {
  const tf = loadTf();
  const update = (w: Tensor, factorB: Tensor, factorA: Tensor) =>
    tf.mul(inFloat32(w), matMul2d(factorB, factorA)) as Tensor;
  return differentiable(
    [x, a, b],
    () => ({ value: matMul2d(x, update(weight, b, a), false, true), saved: [x, weight, a, b] }),
    (dy, [keptX, keptWeight, keptA, keptB]) => {
      const dProduct = tf.mul(matMul2d(dy, keptX, true), inFloat32(keptWeight)) as Tensor; // [out, in]
      const dx = matMul2d(dy, update(keptWeight, keptB, keptA));
      return [dx, matMul2d(keptB, dProduct, true), matMul2d(dProduct, keptA, false, true)];
    },
  );
}

/** A HiRA in PEFT's layout. */
function read(source: AdapterSource): ReadLayers {
  const options = hiraForm.options(source.json, source.file);
  const { rank } = options;
  const variables = peftVariables(source, 'HiRA', ['hira_A', 'hira_B']);
  const layers = layersOf(source, variables);
  for (const { name, inDim, outDim } of layers) {
    checkShape(source, `${name}.hira_A`, part(source, variables, `${name}.hira_A`), [rank, inDim]);
    checkShape(source, `${name}.hira_B`, part(source, variables, `${name}.hira_B`), [outDim, rank]);
  }
  return { options, paths: layers.map(({ name }) => name), variables };
}
