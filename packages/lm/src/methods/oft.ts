import { type OftConfig, oftBlock } from '@moraine/contract/methods/oft';
import { loadTf, type Tensor } from '@moraine/engine';
import { embedding, frozenLinear } from '../ops.js';
import { type Method, type MethodModule, type ReadLayers, role } from './method.js';
import { PEFT, peftFiles, peftVariables, readCount, refuseOther } from './peft.js';
import { type AdapterSource, checkShape, layersOf, part } from './source.js';

type OftOptions = Pick<OftConfig, 'block_size'>;
const FIXED = { use_cayley_neumann: true, num_cayley_neumann_terms: 5, coft: false, block_share: false, r: 0 } as const;

export const oft: MethodModule<OftOptions> = { create, stored: { form: { ...PEFT, peftType: 'OFT' }, read } };

/**
 * OFT: y = (x·R)·W0ᵀ, R orthogonal in blocks of side b on the inputs. A block's numbers oft_R [in/b, b(b-1)/2], zero at the start, fill the
 * upper triangle of a skew-symmetric Q row by row. Qiu et al. 2023, arXiv:2306.07280; five terms of Cayley's series as PEFT computes it.
 */
function create({ block_size }: OftOptions): Method {
  return {
    ignoresY0: true,
    init: ({ inDim }) => {
      const side = oftBlock(inDim, block_size);
      const shape = [inDim / side, (side * (side - 1)) / 2];
      return { oft_R: { shape, data: new Float32Array((inDim * (side - 1)) / 2) } };
    },
    apply: (x, weight, _y0, variables) => frozenLinear(turned(x, role(variables, 'oft_R')), weight),
    atLambda: (variables, lambda) => {
      const { shape, data } = role(variables, 'oft_R');
      return { oft_R: { shape, data: data.map((value) => value * lambda) } };
    },
    toPeft: (adapter) => {
      const tensors = adapter.layers.map(({ name, value }) => [`${name}.oft_R.weight`, value('oft_R')] as const);
      const own = {
        ...FIXED,
        oft_block_size: block_size,
        module_dropout: 0,
        fan_in_fan_out: false,
        init_weights: true,
      };
      return peftFiles(adapter, 'OFT', tensors, own);
    },
  };
}

/** x·R in blocks: x [N, in], v [n, b(b-1)/2] -> [N, in]; R = I + 2Q + 2Q² + 2Q³ + Q⁴. */
function turned(x: Tensor, v: Tensor): Tensor {
  const tf = loadTf();
  const [rows = 0, inDim = 0] = x.shape;
  const blocks = v.shape[0] ?? 0;
  const side = inDim / blocks;
  const q = skew(v, side); // [n, b, b]
  const square = tf.matMul(q, q);
  const twice = tf.add(tf.add(q, square), tf.matMul(square, q)); // Q + Q² + Q³
  const turn = tf.add(tf.add(tf.eye(side), tf.mul(twice, 2)), tf.matMul(square, square)) as Tensor;
  const parts = tf.transpose(tf.reshape(x, [rows, blocks, side]), [1, 0, 2]); // [n, N, b]
  return tf.reshape(tf.transpose(tf.matMul(parts, turn), [1, 0, 2]), [rows, inDim]);
}

/** v [n, b(b-1)/2] -> Q [n, b, b]: v above the diagonal row by row, minus its transpose below. */
function skew(v: Tensor, side: number): Tensor {
  const tf = loadTf();
  const [blocks = 0, count = 0] = v.shape;
  const places = new Int32Array(side * side).fill(2 * count); // the row of zeros
  for (let i = 0, k = 0; i < side; i++) {
    for (let j = i + 1; j < side; j++, k++) {
      places[i * side + j] = k;
      places[j * side + i] = count + k;
    }
  }
  const upper = tf.transpose(v);
  const table = tf.concat([upper, tf.neg(upper), tf.fill([1, blocks], 0)], 0) as Tensor; // [2·b(b-1)/2 + 1, n]
  return tf.reshape(tf.transpose(embedding(table, tf.tensor1d(places, 'int32'))), [blocks, side, side]);
}

/** An OFT in PEFT's layout. */
function read(source: AdapterSource): ReadLayers {
  refuseOther(source, FIXED);
  const block_size = readCount(source, 'oft_block_size');
  const variables = peftVariables(source, 'OFT', ['oft_R']);
  const layers = layersOf(source, variables);
  for (const { name, inDim } of layers) {
    const side = oftBlock(inDim, block_size);
    checkShape(source, name, part(source, variables, `${name}.oft_R`), [inDim / side, (side * (side - 1)) / 2]);
  }
  return { method: create({ block_size }), paths: layers.map(({ name }) => name), variables };
}
