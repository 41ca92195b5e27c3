import { loadTf, type Tensor } from '@moraine/engine';
import { type HostTensor, onHost, toDevice } from './host.js';
import { normal, type Random } from './random.js';

// Small dense linear algebra in double precision on the host: rows of thin matrices, and what TensorFlow's seam has no operation for.

type Rows = Float64Array[];

/** Rows of independent normal numbers. */
export const normalRows = (random: Random, rows: number, width: number): Rows =>
  Array.from({ length: rows }, () => Float64Array.from(normal(random, width, 1)));

/** The rows made orthonormal in their order (Gram and Schmidt, twice for rounding); a row that depends on those before becomes zero. */
export function orthonormalRows(rows: Rows): Rows {
  const done: Rows = [];
  for (const given of rows) {
    const row = Float64Array.from(given);
    const before = Math.sqrt(dot(row, row));
    for (let pass = 0; pass < 2; pass++) for (const other of done) addScaled(row, other, -dot(row, other));
    const length = Math.sqrt(dot(row, row));
    const isDependent = length <= 1e-10 * before || length === 0;
    for (let i = 0; i < row.length; i++) row[i] = isDependent ? 0 : (row[i] ?? 0) / length;
    done.push(row);
  }
  return done;
}

/** The largest singular values of a matrix, falling, each with its vectors: `left` [out] and `right` [in]. */
export interface Svd {
  values: number[];
  left: Rows;
  right: Rows;
}

/** Up to this many rows or columns the decomposition is exact; beyond it, the subspace is found by iteration. */
const EXACT_SIDE_MAX = 64;
const ITERATIONS = 24;

/**
 * The `rank` largest singular triplets of a matrix [out, in], by subspace iteration on 2·rank + 16 vectors (Halko, Martinsson & Tropp 2011,
 * Algorithm 4.4) and the eigenvectors of what is left. Products are TensorFlow's in float32, everything else in doubles.
 */
export function truncatedSvd(matrix: HostTensor, rank: number, random: Random): Svd {
  const [outDim = 0, inDim = 0] = matrix.shape;
  const side = Math.min(outDim, inDim);
  const isExact = side <= EXACT_SIDE_MAX;
  const count = isExact ? side : Math.min(side, 2 * rank + 16);
  const weight = toDevice(matrix);
  try {
    const times = (rows: Rows, isTransposed: boolean): Rows => productOf(rows, weight, isTransposed);
    let basis = orthonormalRows(times(orthonormalRows(normalRows(random, count, inDim)), true)); // of the outputs
    for (let i = 0; !isExact && i < ITERATIONS; i++)
      basis = orthonormalRows(times(orthonormalRows(times(basis, false)), true));
    return fromBasis(basis, times(basis, false), rank);
  } finally {
    weight.dispose();
  }
}

/** Singular triplets of a matrix from a basis of its outputs, rows [n, out], and what the matrix makes of it, rows [n, in]. */
function fromBasis(basis: Rows, projected: Rows, rank: number): Svd {
  const { values, vectors } = symmetricEigen(projected.map((a) => projected.map((b) => dot(a, b))));
  const order = [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0)).slice(0, rank);
  const roots = order.map((i) => Math.sqrt(Math.max(0, values[i] ?? 0)));
  const combine = (rows: Rows, i: number, divisor: number): Float64Array => {
    const sum = new Float64Array(rows[0]?.length ?? 0);
    for (const [k, row] of rows.entries()) addScaled(sum, row, divisor === 0 ? 0 : (vectors[k]?.[i] ?? 0) / divisor);
    return sum;
  };
  return {
    values: roots,
    left: order.map((i) => combine(basis, i, 1)),
    right: order.map((i, k) => combine(projected, i, roots[k] ?? 0)),
  };
}

/** Eigenvalues of a symmetric matrix and its eigenvectors as columns, by Jacobi's rotations (Golub & Van Loan, Algorithm 8.5.3). */
export function symmetricEigen(given: readonly (readonly number[])[]): { values: number[]; vectors: number[][] } {
  const size = given.length;
  const a = given.map((row) => Float64Array.from(row));
  const vectors = a.map((_, i) => Array.from({ length: size }, (_unused, j) => (i === j ? 1 : 0)));
  for (let sweep = 0; sweep < 60 && offDiagonal(a) > 1e-30; sweep++)
    for (let p = 0; p < size; p++) for (let q = p + 1; q < size; q++) rotate(a, vectors, p, q);
  return { values: a.map((row, i) => row[i] ?? 0), vectors };
}

/** Squares beside the diagonal as a share of all. */
function offDiagonal(a: readonly Float64Array[]): number {
  let [beside, all] = [0, 0];
  for (const [i, row] of a.entries()) {
    for (const [j, x] of row.entries()) {
      all += x * x;
      if (i !== j) beside += x * x;
    }
  }
  return all === 0 ? 0 : beside / all;
}

/** One rotation, which makes a[p][q] zero. */
function rotate(a: readonly Float64Array[], vectors: readonly number[][], p: number, q: number): void {
  const at = (i: number, j: number): number => a[i]?.[j] ?? 0;
  if (at(p, q) === 0) return;
  const tau = (at(q, q) - at(p, p)) / (2 * at(p, q));
  const t = (tau < 0 ? -1 : 1) / (Math.abs(tau) + Math.hypot(1, tau));
  const c = 1 / Math.hypot(1, t);
  const s = t * c;
  const turn = (first: { [i: number]: number }, second: { [i: number]: number }, i: number, j: number): void => {
    const [x, y] = [first[i] ?? 0, second[j] ?? 0];
    first[i] = c * x - s * y;
    second[j] = s * x + c * y;
  };
  const [rowP, rowQ] = [a[p], a[q]];
  if (rowP === undefined || rowQ === undefined) return;
  for (let k = 0; k < a.length; k++) turn(rowP, rowQ, k, k);
  for (const row of a) turn(row, row, p, q);
  for (const row of vectors) turn(row, row, p, q);
}

/** Rows times a matrix [out, in]: [n, out] -> [n, in], or with its transpose [n, in] -> [n, out]. */
function productOf(rows: Rows, weight: Tensor, isTransposed: boolean): Rows {
  const width = rows[0]?.length ?? 0;
  const flat = new Float32Array(rows.length * width);
  for (const [i, row] of rows.entries()) flat.set(row, i * width);
  const { data, shape } = onHost(() =>
    loadTf().matMul(loadTf().tensor2d(flat, [rows.length, width]), weight as never, false, isTransposed),
  );
  const columns = shape[1] ?? 0;
  return rows.map((_, i) => Float64Array.from(data.subarray(i * columns, (i + 1) * columns)));
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

function addScaled(to: Float64Array, row: Float64Array, factor: number): void {
  if (factor === 0) return;
  for (let i = 0; i < to.length; i++) to[i] = (to[i] ?? 0) + factor * (row[i] ?? 0);
}
