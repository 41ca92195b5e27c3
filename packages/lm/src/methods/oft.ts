import { OFT_FIXED, OFT_SERIES, type OftConfig, oftBlock, oftForm } from '@moraine/contract/methods/oft';
import { invertMatrices, loadTf, type Tensor } from '@moraine/engine';
import { differentiable, embedding, frozenLinear } from '../ops.js';
import { type Method, type MethodModule, type ReadLayers, role } from './method.js';
import { peftFiles, peftVariables } from './peft.js';
import { type AdapterSource, checkShape, layersOf, part } from './source.js';

type OftOptions = Pick<OftConfig, 'block_size' | 'rotation'>;

export const oft: MethodModule<OftOptions> = { create, stored: { form: oftForm, read } };

/**
 * OFT: y = (x·R)·W0ᵀ, R orthogonal in blocks of side b on the inputs. A block's numbers oft_R [in/b, b(b-1)/2], zero at the start, fill the
 * upper triangle of a skew-symmetric Q row by row. Qiu et al. 2023, arXiv:2306.07280; R by Cayley's transform or five terms of its series, as
 * PEFT computes them. The two turn opposite ways for one Q, so a file says which it is of.
 */
function create({ block_size, rotation }: OftOptions): Method {
  const turnOf = rotation === 'cayley' ? cayley : series;
  return {
    ignoresY0: true,
    init: ({ inDim }) => {
      const side = oftBlock(inDim, block_size);
      const shape = [inDim / side, (side * (side - 1)) / 2];
      return { oft_R: { shape, data: new Float32Array((inDim * (side - 1)) / 2) } };
    },
    apply: (x, weight, _y0, variables) => frozenLinear(turned(x, role(variables, 'oft_R'), turnOf), weight),
    scales: ['oft_R'],
    toPeft: (adapter) => {
      const tensors = adapter.layers.map(({ name, value }) => [`${name}.oft_R.weight`, value('oft_R')] as const);
      const own = {
        ...OFT_FIXED,
        ...OFT_SERIES,
        use_cayley_neumann: rotation !== 'cayley',
        oft_block_size: block_size,
        module_dropout: 0,
        fan_in_fan_out: false,
        init_weights: true,
      };
      return peftFiles(adapter, 'OFT', tensors, own);
    },
  };
}

/** x·R in blocks: x [N, in], v [n, b(b-1)/2] -> [N, in]. */
function turned(x: Tensor, v: Tensor, turnOf: (q: Tensor) => Tensor): Tensor {
  const tf = loadTf();
  const [rows = 0, inDim = 0] = x.shape;
  const blocks = v.shape[0] ?? 0;
  const side = inDim / blocks;
  const parts = tf.transpose(tf.reshape(x, [rows, blocks, side]), [1, 0, 2]); // [n, N, b]
  return tf.reshape(tf.transpose(tf.matMul(parts, turnOf(skew(v, side))), [1, 0, 2]), [rows, inDim]);
}

/** R = I + 2Q + 2Q² + 2Q³ + Q⁴: [n, b, b] -> [n, b, b]. */
function series(q: Tensor): Tensor {
  const tf = loadTf();
  const square = tf.matMul(q, q);
  const twice = tf.add(tf.add(q, square), tf.matMul(square, q)); // Q + Q² + Q³
  return tf.add(tf.add(tf.eye(q.shape[1] ?? 0), tf.mul(twice, 2)), tf.matMul(square, square)) as Tensor;
}

/** R = (I - Q)(I + Q)^-1, which is orthogonal: [n, b, b] -> [n, b, b]. */
function cayley(q: Tensor): Tensor {
  const tf = loadTf();
  const eye = tf.eye(q.shape[1] ?? 0);
  return tf.matMul(tf.sub(eye, q), inverse(tf.add(eye, q)));
}

/** The inverse of every matrix of [n, b, b]. */
function inverse(m: Tensor): Tensor {
  const tf = loadTf();
  return differentiable(
    [m],
    () => {
      const value = invertMatrices(m);
      return { value, saved: [value] };
    },
    (dy, [kept]) => [tf.neg(tf.matMul(tf.matMul(kept, dy, true, false), kept, false, true))],
  );
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
  const options = oftForm.options(source.json, source.file);
  const variables = peftVariables(source, 'OFT', ['oft_R']);
  const layers = layersOf(source, variables);
  for (const { name, inDim } of layers) {
    const side = oftBlock(inDim, options.block_size);
    checkShape(source, name, part(source, variables, `${name}.oft_R`), [inDim / side, (side * (side - 1)) / 2]);
  }
  return { options, paths: layers.map(({ name }) => name), variables };
}
