import type { DataType, Tensor } from '@tensorflow/tfjs';
import { invariant } from './error.js';
import { isOnGpu, loadTf } from './load.js';

export type { Tensor } from '@tensorflow/tfjs';

/**
 * TensorFlow operations that tfjs does not offer, or offers slower. None of them is differentiable by itself: call them inside
 * `tf.customGrad`. They run on whichever backend is active: a backend with a `rawOp` method (one that records a graph) gets the
 * operation with its output shapes; TensorFlow's own runs it at once.
 */
export type RawAttribute =
  | { type: 'float32' | 'int32' | 'bool' | 'int64' | 'uint64' }
  | { bool: boolean }
  | { int: number }
  | { float: number }
  | { string: string }
  | { ints: readonly number[] };

export type RawAttributes = Readonly<Record<string, RawAttribute>>;

export interface RawOutput {
  shape: number[];
  dtype: DataType;
}

/** What a graph-recording backend implements to take part. */
export interface RawOpBackend {
  rawOp(name: string, attrs: RawAttributes, inputs: Tensor[], outputs: RawOutput[]): Tensor[];
  choose(pred: Tensor, inputs: Tensor[], whenTrue: Branch, whenFalse: Branch): Tensor[];
  after(x: Tensor, dependency: Tensor): Tensor;
  /** Whether x is kept in bfloat16, which few operations take. */
  isLowPrecision(x: Tensor): boolean;
}

/** One side of a conditional: tensors in, tensors out. */
export type Branch = (inputs: Tensor[]) => Tensor[];

/** The part of tfjs-node's backend that runs an operation by name. */
interface NodeBackend {
  binding: Record<NodeConstant, number>;
  executeMultipleOutputs(
    name: string,
    attrs: { name: string; type: number; value: number | boolean | string | readonly number[] }[],
    inputs: Tensor[],
    outputs: number,
  ): Tensor[];
}

type NodeConstant =
  | `TF_ATTR_${'TYPE' | 'BOOL' | 'INT' | 'FLOAT' | 'STRING'}`
  | `TF_${'FLOAT' | 'INT32' | 'BOOL' | 'INT64' | 'UINT64'}`;

/** Runs or records one TensorFlow operation by its registered name. */
export function rawOp(name: string, attrs: RawAttributes, inputs: Tensor[], outputs: RawOutput[]): Tensor[] {
  const backend: unknown = loadTf().backend();
  if (isRawOpBackend(backend)) return backend.rawOp(name, attrs, inputs, outputs);
  const node = backend as NodeBackend;
  return node.executeMultipleOutputs(name, nodeAttrs(node, attrs), inputs, outputs.length);
}

function isRawOpBackend(backend: unknown): backend is RawOpBackend {
  return typeof backend === 'object' && backend !== null && 'rawOp' in backend;
}

const nodeTypes = {
  float32: 'TF_FLOAT',
  int32: 'TF_INT32',
  bool: 'TF_BOOL',
  int64: 'TF_INT64',
  uint64: 'TF_UINT64',
} as const;

function nodeAttrs({ binding }: NodeBackend, attrs: RawAttributes) {
  return Object.entries(attrs).map(([name, value]) => {
    if ('bool' in value) return { name, type: binding.TF_ATTR_BOOL, value: value.bool };
    if ('int' in value) return { name, type: binding.TF_ATTR_INT, value: value.int };
    if ('ints' in value) return { name, type: binding.TF_ATTR_INT, value: value.ints };
    if ('float' in value) return { name, type: binding.TF_ATTR_FLOAT, value: value.float };
    if ('string' in value) return { name, type: binding.TF_ATTR_STRING, value: value.string };
    return { name, type: binding.TF_ATTR_TYPE, value: binding[nodeTypes[value.type]] };
  });
}

/**
 * Takes one of two ways by the value of a bool scalar; only that one is computed. `inputs` are the tensors that either side works on: it
 * gets them back in that order and must use these, not the originals, for what is to be skipped. Both sides give tensors of the same shapes
 * and types. Not differentiable by itself: call it inside `tf.customGrad`. Eagerly it reads `pred`.
 */
export function choose(pred: Tensor, inputs: Tensor[], whenTrue: Branch, whenFalse: Branch): Tensor[] {
  const backend: unknown = loadTf().backend();
  if (isRawOpBackend(backend)) return backend.choose(pred, inputs, whenTrue, whenFalse);
  const isTrue = pred.dataSync()[0] !== 0;
  // Results are tensors of their own, as they are in a graph.
  return (isTrue ? whenTrue : whenFalse)(inputs).map((x) => loadTf().clone(x));
}

/** x, computed not before `dependency`. Eagerly it is x. */
export function after(x: Tensor, dependency: Tensor): Tensor {
  const backend: unknown = loadTf().backend();
  return isRawOpBackend(backend) ? backend.after(x, dependency) : x;
}

const FLOAT: RawAttribute = { type: 'float32' };
const INT: RawAttribute = { type: 'int32' };

function only(tensors: Tensor[]): Tensor {
  const [first] = tensors;
  invariant(first !== undefined, 'a TensorFlow operation returned no output');
  return first;
}

/** Product of two matrices, each transposed or not: op(a) [n, k] x op(b) [k, m] -> [n, m]. A quarter faster than tf.matMul. */
export function matMul2d(a: Tensor, b: Tensor, transposeA = false, transposeB = false): Tensor {
  const rows = a.shape[transposeA ? 1 : 0] ?? 0;
  if (!transposeA && transposeB && b.size >= BLOCKED_SIZE_MIN && !isOnGpu() && !isLowPrecision(b)) {
    const isHead = b.size >= DOUBLED_SIZE_MIN;
    if (rows === 1) return isHead ? doubledRowProduct(a, b) : blockedRowProduct(a, b);
    if (rows <= FEW_ROWS_MAX && (isHead ? rows >= 4 : rows >= 16 && b.size >= FEW_SIZE_MIN))
      return fewRowsProduct(a, b);
  }
  return product(a, b, transposeA, transposeB);
}

/** What TensorFlow's MatMul makes of two matrices. */
function product(a: Tensor, b: Tensor, transposeA: boolean, transposeB: boolean): Tensor {
  const rows = a.shape[transposeA ? 1 : 0] ?? 0;
  const columns = b.shape[transposeB ? 0 : 1] ?? 0;
  const attrs = { T: FLOAT, transpose_a: { bool: transposeA }, transpose_b: { bool: transposeB } };
  return only(rawOp('MatMul', attrs, [a, b], [{ shape: [rows, columns], dtype: 'float32' }]));
}

/**
 * Product of the last two axes: a [..., n, k] x b [..., k, m] (or [..., m, k]) -> [..., n, m]; one b serves all of a. For small ones: on a
 * CPU tf.matMul of such waits until every thread has had a part (70 us where this takes 20, 9 x [1, 64] x [64, 256] on two busy cores).
 */
export function smallMatMul(a: Tensor, b: Tensor, transposeB = false): Tensor {
  const tf = loadTf();
  if (isOnGpu()) return tf.matMul(a, b, false, transposeB) as Tensor;
  const attrs = { Ta: FLOAT, Tb: FLOAT, Tout: FLOAT, adj_x: { bool: false }, adj_y: { bool: transposeB } };
  const shape = [...a.shape.slice(0, -1), b.shape[b.shape.length - (transposeB ? 2 : 1)] ?? 0];
  return only(rawOp('BatchMatMulV3', attrs, [a, b], [{ shape, dtype: 'float32' }]));
}

// On a CPU MatMul of one row lets all threads wait for the slowest, and reads a large matrix slowly. Measured by decoding, two busy cores.
const BLOCKED_SIZE_MIN = 2 ** 18;
const DOUBLED_SIZE_MIN = 2 ** 23;
// With fewer than 16 rows MatMul goes another way, which is as fast but for matrices the size of a head.
const FEW_ROWS_MAX = 64;
const FEW_SIZE_MIN = 2 ** 19;
const BLOCKS = [16, 8, 4, 2, 1];

/**
 * x·Wᵀ for one row: x [1, k], w [m, k] -> [1, m], as blocks of rows of w times a column, which threads take as they come free. A token of
 * the 135M shape: 37 ms with MatMul, 31 so.
 */
function blockedRowProduct(x: Tensor, w: Tensor): Tensor {
  const tf = loadTf();
  const [m = 0, k = 0] = w.shape;
  const blocks = BLOCKS.find((count) => m % count === 0) ?? 1;
  const y = smallMatMul(tf.reshape(w, [blocks, m / blocks, k]), tf.reshape(x, [1, k, 1])); // [blocks, m / blocks, 1]
  return tf.reshape(y, [1, m]);
}

/** The same with the row twice, for matrices the size of a head: MatMul of two rows takes two thirds of the time of one. */
function doubledRowProduct(x: Tensor, w: Tensor): Tensor {
  const tf = loadTf();
  return tf.slice(product(tf.concat([x, x], 0), w, false, true), [0, 0], [1, w.shape[0] ?? 0]) as Tensor;
}

/**
 * x·Wᵀ for few rows as (W·xᵀ)ᵀ: MatMul first copies what is on its right into another order, all of W for the sake of few rows. With many rows
 * the copy is a small part of it.
 */
const fewRowsProduct = (x: Tensor, w: Tensor): Tensor => loadTf().transpose(product(w, x, false, true)) as Tensor;

/** The inverse of every square matrix: [..., n, n] -> [..., n, n]. Not differentiable by itself. */
export function invertMatrices(x: Tensor): Tensor {
  const attrs = { adjoint: { bool: false }, T: FLOAT };
  return only(rawOp('MatrixInverse', attrs, [x], [{ shape: [...x.shape], dtype: 'float32' }]));
}

/** Orthonormal columns that span those of x [n, k], n at least k: [n, k]. Not differentiable by itself. */
export function orthonormalColumns(x: Tensor): Tensor {
  const [rows = 0, columns = 0] = x.shape;
  const attrs = { full_matrices: { bool: false }, T: FLOAT };
  const outputs: RawOutput[] = [
    { shape: [rows, columns], dtype: 'float32' },
    { shape: [columns, columns], dtype: 'float32' },
  ];
  const [q, r] = rawOp('Qr', attrs, [x], outputs);
  r?.dispose();
  return only(q === undefined ? [] : [q]);
}

/** x [n, m] = u [n, k] · diag(values [k], falling) · v [m, k]ᵀ with k the smaller side. Not differentiable by itself. */
export function decomposeSingular(x: Tensor): { values: Tensor; u: Tensor; v: Tensor } {
  const [rows = 0, columns = 0] = x.shape;
  const count = Math.min(rows, columns);
  const shapes = [[count], [rows, count], [columns, count]];
  const attrs = { compute_uv: { bool: true }, full_matrices: { bool: false }, T: FLOAT };
  const [values, u, v] = rawOp(
    'Svd',
    attrs,
    [x],
    shapes.map((shape) => ({ shape, dtype: 'float32' })),
  );
  invariant(values !== undefined && u !== undefined && v !== undefined, 'a decomposition has three parts');
  return { values, u, v };
}

/** A weight in float32, also where it is kept in bfloat16: for operations other than products and look-ups. Not differentiable by itself. */
export function inFloat32(x: Tensor): Tensor {
  if (!isLowPrecision(x)) return x;
  return only(rawOp('Identity', { T: FLOAT }, [x], [{ shape: [...x.shape], dtype: 'float32' }]));
}

function isLowPrecision(x: Tensor): boolean {
  const backend: unknown = loadTf().backend();
  return isRawOpBackend(backend) && backend.isLowPrecision(x);
}

/** Rows of a table: params [V, C], ids int32 of any shape -> [...ids, C]. Ids are not checked: a bad one fails on a CPU only. */
export function gatherRows(params: Tensor, ids: Tensor): Tensor {
  const axis = loadTf().scalar(0, 'int32');
  const attrs = { batch_dims: { int: 0 }, Tparams: FLOAT, Tindices: INT, Taxis: INT };
  const shape = [...ids.shape, ...params.shape.slice(1)];
  return only(rawOp('GatherV2', attrs, [params, ids, axis], [{ shape, dtype: 'float32' }]));
}

/** Uniform numbers in [0, 1) that depend on the seed (int32 [2]) and the shape alone, the same on every call: Philox, in mode `xla` another generator. */
export function statelessRandomUniform(shape: number[], seed: Tensor): Tensor {
  const size = loadTf().tensor1d(shape, 'int32');
  const attrs = { dtype: FLOAT, T: INT, Tseed: INT };
  return only(rawOp('StatelessRandomUniform', attrs, [size, seed], [{ shape, dtype: 'float32' }]));
}
