import { GRALORA_FIXED, type GraloraConfig, graloraForm } from '@moraine/contract/methods/gralora';
import { loadTf, type Tensor } from '@moraine/engine';
import { uniform } from '../random.js';
import { type Method, type MethodModule, type ReadLayers, role } from './method.js';
import { peftFiles, peftVariables } from './peft.js';
import { type AdapterSource, checkShape, layersOf, part } from './source.js';

type GraloraOptions = Pick<GraloraConfig, 'rank' | 'alpha' | 'sub_blocks'>;

export const gralora: MethodModule<GraloraOptions> = {
  create,
  stored: { form: graloraForm, read },
};

/**
 * GraLoRA: block n of the inputs goes through gralora_A[n] [in/g, r], a g-th of what comes out goes to each block of outputs, through
 * gralora_B [g, r, out/g], zero at the start; times alpha / r. Jung et al. 2025, arXiv:2505.20355, Eq. 4 to 6, as PEFT computes it.
 */
function create({ rank, alpha, sub_blocks: blocks }: GraloraOptions): Method {
  return {
    scales: ['gralora_B'],
    init: ({ inDim, outDim }, random) => ({
      gralora_A: {
        shape: [blocks, inDim / blocks, rank],
        data: uniform(random, inDim * rank, 1 / Math.sqrt(inDim / blocks)),
      },
      gralora_B: { shape: [blocks, rank, outDim / blocks], data: new Float32Array(outDim * rank) },
    }),
    apply: (x, _weight, y0, variables) => {
      const update = exchanged(x, role(variables, 'gralora_A'), role(variables, 'gralora_B'));
      return loadTf().add(y0, loadTf().mul(update, alpha / rank));
    },
    toPeft: (adapter) => {
      const tensors = adapter.layers.flatMap(({ name, value }) =>
        ['gralora_A', 'gralora_B'].map((each) => [`${name}.${each}`, value(each)] as const),
      );
      const own = {
        ...GRALORA_FIXED,
        r: rank,
        alpha,
        gralora_k: blocks,
        gralora_dropout: adapter.dropout,
        init_weights: true,
      };
      return peftFiles(adapter, 'GRALORA', tensors, own);
    },
  };
}

/** x [N, in], a [g, in/g, r], b [g, r, out/g] -> [N, out]. */
function exchanged(x: Tensor, a: Tensor, b: Tensor): Tensor {
  const tf = loadTf();
  const [rows = 0] = x.shape;
  const [blocks = 1, blockIn = 0, rank = 0] = a.shape;
  const parts = tf.transpose(tf.reshape(x, [rows, blocks, blockIn]), [1, 0, 2]); // [g, N, in/g]
  const inner = tf.reshape(tf.matMul(parts, a), [blocks, rows, blocks, rank / blocks]); // [from, N, to, r/g]
  const sent = tf.reshape(tf.transpose(inner, [2, 1, 0, 3]), [blocks, rows, rank]); // [to, N, r]
  return tf.reshape(tf.transpose(tf.matMul(sent, b), [1, 0, 2]), [rows, blocks * (b.shape[2] ?? 0)]);
}

/** A GraLoRA in PEFT's layout. */
function read(source: AdapterSource): ReadLayers {
  const options = graloraForm.options(source.json, source.file);
  const { rank, sub_blocks: blocks } = options;
  const variables = peftVariables(source, 'GraLoRA', ['gralora_A', 'gralora_B']);
  const layers = layersOf(source, variables);
  for (const { name, inDim, outDim } of layers) {
    const [a, b] = ['gralora_A', 'gralora_B'].map((each) => part(source, variables, `${name}.${each}`));
    if (a !== undefined) checkShape(source, `${name}.gralora_A`, a, [blocks, inDim / blocks, rank]);
    if (b !== undefined) checkShape(source, `${name}.gralora_B`, b, [blocks, rank, outDim / blocks]);
  }
  return { options, paths: layers.map(({ name }) => name), variables };
}
