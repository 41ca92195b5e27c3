import type { MoraType } from '@moraine/contract';
import { moraSide } from '@moraine/contract/plan';
import { loadTf, matMul2d, type Tensor } from '@moraine/engine';
import { at, differentiable, type Rotary, rotate, rotateBack } from '../ops.js';
import { type Method, role } from './method.js';

export interface MoraOptions {
  /** The LoRA rank whose budget (in + out)·rank the square matrix matches. */
  rank: number;
  /** 1: sharing of rows and columns; 6: rotation of blocks. */
  type: MoraType;
}

export interface MoraMethod extends Method {
  shape: { type: 'mora'; rank: number; moraType: MoraType };
}

/**
 * MoRA: y = x·W0ᵀ + decompress(M · compress(x)) with one trainable square matrix mora_M [R, R], zero at the start.
 * Jiang et al. 2024, arXiv:2405.12130; R = moraSide(in, out, rank, type). There is no scale. As the authors' code does and the
 * paper's equations do not: inputs are padded circularly, halves are rotated instead of neighbours, and the first block is not rotated.
 */
export function mora({ rank, type }: MoraOptions): MoraMethod {
  return {
    shape: { type: 'mora', rank, moraType: type },
    init: ({ inDim, outDim }) => {
      const side = moraSide(inDim, outDim, rank, type);
      return { mora_M: { shape: [side, side], data: new Float32Array(side * side) } };
    },
    apply: (x, _weight, y0, variables) => {
      const update = type === 1 ? sharing : rotation;
      return loadTf().add(y0, update(x, role(variables, 'mora_M'), y0.shape[1] ?? 0));
    },
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
