import { type MoraConfig, type MoraType, moraSide } from '@moraine/contract/methods/mora';
import { loadTf, matMul2d, type Tensor } from '@moraine/engine';
import type { HostTensor } from '../host.js';
import { at, differentiable, type Rotary, rotate, rotateBack } from '../ops.js';
import { loraFiles } from './lora.js';
import {
  type AdapterFiles,
  type ExportedAdapter,
  type Method,
  type MethodModule,
  type ReadLayers,
  role,
} from './method.js';
import { type AdapterSource, checkShape, layersOf, part, unsupported } from './source.js';

type MoraOptions = Pick<MoraConfig, 'rank' | 'mora_type'>;
const FORM = { configName: 'mora_config.json', weightsName: 'mora_model.safetensors' } as const;

export const mora: MethodModule<MoraOptions> = { create, form: FORM, read };

/**
 * MoRA: y = x·W0ᵀ + decompress(M · compress(x)) with one trainable square matrix mora_M [R, R], zero at the start.
 * Jiang et al. 2024, arXiv:2405.12130; R = moraSide(in, out, rank, type). There is no scale. As the authors' code does and the
 * paper's equations do not: inputs are padded circularly, halves are rotated instead of neighbours, and the first block is not rotated.
 */
function create({ rank, mora_type: type }: MoraOptions): Method {
  return {
    init: ({ inDim, outDim }) => {
      const side = moraSide(inDim, outDim, rank, type);
      return { mora_M: { shape: [side, side], data: new Float32Array(side * side) } };
    },
    apply: (x, _weight, y0, variables) => {
      const update = type === 1 ? sharing : rotation;
      return loadTf().add(y0, update(x, role(variables, 'mora_M'), y0.shape[1] ?? 0));
    },
    toPeft: (adapter) => (type === 1 ? sharingFiles(adapter) : null),
    toNative: (adapter) => nativeFiles(adapter, rank, type),
  };
}

/**
 * Type 1, Eq. 6: inputs whose index is equal modulo R share a column of M, outputs a row.
 * y = tile(M · c), c_i = sum over blocks of the circularly padded x. x [N, k], m [R, R] -> [N, d].
 * The gradient of tiling is folding and the other way round, so the backward pass is the forward pass with Mᵀ.
 */
function sharing(x: Tensor, m: Tensor, outDim: number): Tensor {
  const [, inDim = 0] = x.shape;
  const side = m.shape[0] ?? 0;
  const padded = Math.ceil(inDim / side) * side;
  return differentiable(
    [x, m],
    () => {
      const compressed = fold(extend(x, padded), side); // [N, R]
      return { value: extend(matMul2d(compressed, m, false, true), outDim), saved: [compressed, m] };
    },
    (dy, saved) => {
      const dShared = fold(dy, side); // [N, R]
      const dx = fold(extend(matMul2d(dShared, at(saved, 1)), padded), inDim);
      return [dx, matMul2d(dShared, at(saved, 0), true)];
    },
  );
}

/**
 * Type 6, Eq. 9: x in blocks of R, block b rotated by b·theta_t, theta_t = 10000^(-2t/R), every block through the same M, the results
 * side by side, cut or repeated to d. x [N, k], m [R, R] -> [N, d]. Blocks that the cut drops are not computed.
 */
function rotation(x: Tensor, m: Tensor, outDim: number): Tensor {
  const tf = loadTf();
  const [rows = 0, inDim = 0] = x.shape;
  const side = m.shape[0] ?? 0;
  const blocks = Math.min(Math.ceil(inDim / side), Math.ceil(outDim / side));
  const width = blocks * side;
  return differentiable(
    [x, m],
    () => {
      const tables = blockAngles(blocks, side);
      const rotated = tf.reshape(rotate(tf.reshape(extend(x, width), [rows, blocks, side]), tables), [
        rows * blocks,
        side,
      ]);
      const z = tf.reshape(matMul2d(rotated, m, false, true), [rows, width]);
      return { value: extend(z, outDim), saved: [rotated, m, tables.cos, tables.sin] };
    },
    (dy, saved) => {
      const tables = { cos: at(saved, 2), sin: at(saved, 3) };
      const dz = tf.reshape(fold(dy, width), [rows * blocks, side]);
      const dRotated = tf.reshape(matMul2d(dz, at(saved, 1)), [rows, blocks, side]);
      const dx = fold(tf.reshape(rotateBack(dRotated, tables), [rows, width]), inDim);
      return [dx, matMul2d(dz, at(saved, 0), true)];
    },
  );
}

/** Cos and (-sin, sin) of b·theta_t for blocks b = 0 … n-1: each [n, R]. Angles are computed in float32, as the authors' code does. */
function blockAngles(blocks: number, side: number): Rotary {
  const tf = loadTf();
  const theta = Float32Array.from({ length: side / 2 }, (_, t) => 10_000 ** ((-2 * t) / side));
  const angles = tf.mul(tf.reshape(tf.range(0, blocks), [blocks, 1]), tf.tensor2d(theta, [1, side / 2])); // [n, R/2]
  const [cos, sin] = [tf.cos(angles), tf.sin(angles)];
  return { cos: tf.concat([cos, cos], 1), sin: tf.concat([tf.neg(sin), sin], 1) };
}

/** Repeats the columns until there are `width` of them: y_i = x_(i mod k). A smaller width cuts. x [N, k] -> [N, width]. */
function extend(x: Tensor, width: number): Tensor {
  const tf = loadTf();
  const [rows = 0, columns = 0] = x.shape;
  if (width === columns) return x;
  const whole = Math.floor(width / columns);
  const rest = width - whole * columns;
  const parts: Tensor[] = Array.from({ length: whole }, () => x);
  if (rest > 0) parts.push(tf.slice(x, [0, 0], [rows, rest]));
  return parts.length === 1 ? (parts[0] ?? x) : tf.concat(parts, 1);
}

/** The transpose of extend: adds up columns whose index is equal modulo `width`. x [N, k] -> [N, width]; missing columns are 0. */
function fold(x: Tensor, width: number): Tensor {
  const tf = loadTf();
  const [rows = 0, columns = 0] = x.shape;
  if (width === columns) return x;
  const blocks = Math.ceil(columns / width);
  const missing = blocks * width - columns;
  const whole =
    missing === 0
      ? x
      : tf.pad(x, [
          [0, 0],
          [0, missing],
        ] as [number, number][]);
  return blocks === 1 ? whole : tf.sum(tf.reshape(whole, [rows, blocks, width]), 1);
}

/** Type 1 is exactly a LoRA of rank R: A sums inputs, B = tiled M; smaller layers are padded with zeros to one rank, alpha = rank. */
function sharingFiles(adapter: ExportedAdapter): AdapterFiles {
  const rank = Math.max(...adapter.layers.map(({ value }) => value('mora_M').shape[0] ?? 0));
  const pairs = adapter.layers.map(({ name, inDim, outDim, value }) => ({
    name,
    ...sharingAsLora(value('mora_M'), inDim, outDim, rank),
  }));
  return loraFiles(adapter, pairs, rank, rank);
}

/** Type 1 as a LoRA pair of rank `rank` >= R: A [rank, in] has a 1 (or 2, where padding wraps) per input's group, B [out, rank] = tiled M. */
function sharingAsLora(m: HostTensor, inDim: number, outDim: number, rank: number): { a: HostTensor; b: HostTensor } {
  const [side = 0] = m.shape;
  const a = new Float32Array(rank * inDim);
  const padded = Math.ceil(inDim / side) * side;
  for (let j = 0; j < padded; j++) {
    const index = (j % side) * inDim + (j % inDim);
    a[index] = (a[index] ?? 0) + 1;
  }
  const b = new Float32Array(outDim * rank);
  for (let i = 0; i < outDim; i++) b.set(m.data.subarray((i % side) * side, (i % side) * side + side), i * rank);
  return { a: { shape: [rank, inDim], data: a }, b: { shape: [outDim, rank], data: b } };
}

/** Its own form: `<path>.mora_M` [R, R], and a configuration that says everything that is needed to apply it. */
function nativeFiles({ layers, baseName }: ExportedAdapter, rank: number, type: MoraType): AdapterFiles {
  const squares = layers.map(({ name, value }) => ({ name, m: value('mora_M') }));
  return {
    ...FORM,
    tensors: new Map(squares.map(({ name, m }) => [`${name}.mora_M`, m])),
    config: {
      format: 'moraine-mora',
      format_version: 1,
      base_model_name_or_path: baseName,
      rank,
      mora_type: type,
      side: Object.fromEntries(squares.map(({ name, m }) => [name, m.shape[0]])),
      scale: 1,
      angle_base: 10_000,
      pairing: 'half',
      padding: 'circular',
    },
  };
}

function read(source: AdapterSource): ReadLayers {
  const { file } = source;
  const { format, format_version: version, rank, mora_type } = source.json;
  if (format !== 'moraine-mora' || version !== 1) {
    throw unsupported(file, `format ${String(format)} ${String(version)} is not moraine-mora 1`);
  }
  if (typeof rank !== 'number' || !Number.isInteger(rank) || (mora_type !== 1 && mora_type !== 6)) {
    throw unsupported(file, `rank ${String(rank)} and mora_type ${String(mora_type)} are not a rank and 1 or 6`);
  }
  const variables = source.tensors();
  const layers = layersOf(source, variables);
  for (const { name, inDim, outDim } of layers) {
    const side = moraSide(inDim, outDim, rank, mora_type);
    checkShape(source, `${name}.mora_M`, part(source, variables, `${name}.mora_M`), [side, side]);
  }
  return { method: create({ rank, mora_type }), paths: layers.map(({ name }) => name), variables };
}
