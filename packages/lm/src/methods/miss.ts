import { MISS_FIXED, type MissConfig, missForm } from '@moraine/contract/methods/miss';
import { loadTf, matMul2d, type Tensor } from '@moraine/engine';
import { differentiable } from '../ops.js';
import { extend, fold } from './columns.js';
import { type Method, type MethodModule, type ReadLayers, role } from './method.js';
import { peftFiles, peftVariables } from './peft.js';
import { type AdapterSource, checkShape, layersOf, part } from './source.js';

type MissOptions = Pick<MissConfig, 'rank'>;

export const miss: MethodModule<MissOptions> = { create, stored: { form: missForm, read } };

/**
 * MiSS: y = x·W0ᵀ + c·M with c_i the sum of the inputs whose index is i modulo the rank, and miss_block M [r, out], zero at the start; no
 * scale. Kang & Yin 2024, arXiv:2409.15371, as PEFT computes it.
 */
function create({ rank }: MissOptions): Method {
  return {
    scales: ['miss_block'],
    init: ({ outDim }) => ({ miss_block: { shape: [rank, outDim], data: new Float32Array(rank * outDim) } }),
    apply: (x, _weight, y0, variables) => loadTf().add(y0, shared(x, role(variables, 'miss_block'))),
    toPeft: (adapter) => {
      const tensors = adapter.layers.map(({ name, value }) => [`${name}.miss_block`, value('miss_block')] as const);
      return peftFiles(adapter, 'MISS', tensors, { ...MISS_FIXED, r: rank, mini_r: 1, miss_dropout: adapter.dropout });
    },
  };
}

/** x [N, in], m [r, out] -> [N, out]. */
function shared(x: Tensor, m: Tensor): Tensor {
  const [, inDim = 0] = x.shape;
  const [rank = 0] = m.shape;
  return differentiable(
    [x, m],
    () => {
      const sums = fold(x, rank); // [N, r]
      return { value: matMul2d(sums, m), saved: [sums, m] };
    },
    (dy, [sums, keptM]) => [extend(matMul2d(dy, keptM, false, true), inDim), matMul2d(sums, dy, true)],
  );
}

/** A MiSS in PEFT's layout. */
function read(source: AdapterSource): ReadLayers {
  const options = missForm.options(source.json, source.file);
  const { rank } = options;
  const variables = peftVariables(source, 'MiSS', ['miss_block']);
  const layers = layersOf(source, variables);
  for (const { name, outDim } of layers)
    checkShape(source, `${name}.miss_block`, part(source, variables, `${name}.miss_block`), [rank, outDim]);
  return { options, paths: layers.map(({ name }) => name), variables };
}
