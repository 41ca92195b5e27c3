import { linearShapes, type ModelShape } from '@moraine/contract/plan';
import { decomposeSingular, loadTf, matMul2d, orthonormalColumns, type Tensor } from '@moraine/engine';
import { addWhole, targetNames } from './export.js';
import { type HostTensor, onHost, padColumns, padRows, toDevice } from './host.js';
import type { AdapterFiles } from './methods/method.js';
import { productFiles } from './methods/registry.js';
import { createRandom, hashName, normal, type Random } from './random.js';

/** The best product of thin matrices for an update: B [out, rank], A [rank, in]. */
export interface LowRank {
  a: HostTensor;
  b: HostTensor;
  /** ‖U − B·A‖² and ‖U‖², Frobenius. */
  errorSquared: number;
  normSquared: number;
}

/** Up to this many rows or columns the decomposition is of the whole matrix; beyond it, of a subspace found by iteration. */
const EXACT_SIDE_MAX = 256;
const ITERATIONS_MAX = 24;
/** The subspace is found when a round adds less than this share to what it holds. */
const GAIN_MIN = 1e-6;

/**
 * The truncated singular value decomposition of an update [out, in], A and B of equal lengths: B = U·√S, A = √S·Vᵀ. Where the matrix is large,
 * by subspace iteration on 2·rank + 16 vectors (Halko, Martinsson & Tropp 2011, Algorithm 4.4). The error is that of the matrices returned.
 */
export function lowRankOf(update: HostTensor, rank: number, random: Random): LowRank {
  const tf = loadTf();
  const [outDim = 0, inDim = 0] = update.shape;
  const made = tf.tidy(() => {
    const matrix = toDevice(update);
    const basis = subspaceOf(matrix, 2 * rank + 16, random); // [out, n], or null: all of it
    const { values, u, v } = decomposeSingular(basis === null ? matrix : matMul2d(basis, matrix, true));
    const kept = Math.min(rank, values.size);
    const roots = tf.sqrt(tf.slice(values, [0], [kept])); // [kept]
    const left = tf.slice(u, [0, 0], [u.shape[0] ?? 0, kept]) as Tensor;
    const b = tf.mul(basis === null ? left : matMul2d(basis, left), roots) as Tensor; // [out, kept]
    const a = tf.transpose(tf.mul(tf.slice(v, [0, 0], [inDim, kept]), roots)) as Tensor; // [kept, in]
    const rest = tf.sub(matrix, matMul2d(b, a));
    return { a, b, sums: tf.stack([tf.sum(tf.square(rest)), tf.sum(tf.square(matrix))]) };
  });
  const [errorSquared = Number.NaN, normSquared = Number.NaN] = made.sums.dataSync();
  const [a, b] = [onHost(() => made.a), onHost(() => made.b)];
  tf.dispose(made);
  // A layer smaller than the rank has fewer values than that: the rest is zeros.
  return {
    a: padRows({ ...a, shape: [a.shape[0] ?? 0, inDim] }, rank),
    b: padColumns({ ...b, shape: [outDim, b.shape[1] ?? 0] }, rank),
    errorSquared,
    normSquared,
  };
}

/** Orthonormal columns [out, count] that span nearly all of a matrix's largest directions; null where it is small. */
function subspaceOf(matrix: Tensor, count: number, random: Random): Tensor | null {
  const tf = loadTf();
  const [outDim = 0, inDim = 0] = matrix.shape;
  if (Math.min(outDim, inDim) <= Math.max(EXACT_SIDE_MAX, count)) return null;
  const start = tf.tensor2d(normal(random, inDim * count, 1), [inDim, count]);
  let basis = orthonormalColumns(matMul2d(matrix, start)); // [out, count]
  let held = 0;
  for (let i = 0; i < ITERATIONS_MAX; i++) {
    const [next, energy] = tf.tidy(() => {
      const seen = matMul2d(matrix, basis, true); // [in, count]
      return [orthonormalColumns(matMul2d(matrix, orthonormalColumns(seen))), tf.sum(tf.square(seen))];
    }) as [Tensor, Tensor];
    basis.dispose();
    basis = next;
    const now = energy.dataSync()[0] ?? 0;
    if (!(now > held * (1 + GAIN_MIN))) break;
    held = now;
  }
  return basis;
}

/** How far a LoRA is from the update that it stands for: ‖U − B·A‖ / ‖U‖, of all layers together and of the one where it is largest. */
export interface LowRankError {
  total: number;
  worst: number;
  worstLayer: string;
}

/** What a low-rank export is made of. */
export interface LowRankSource {
  config: ModelShape;
  baseName: string;
  /** Linear layers whose update is to be a product. */
  paths: readonly string[];
  /** The change of a layer's weight [out, in]; read one at a time. */
  updateOf(path: string): HostTensor;
  /** Weights that are given whole. */
  whole: ReadonlyMap<string, HostTensor>;
}

/** Updates as a LoRA of one rank in PEFT's layout, with alpha = rank, so that every reader's scale is 1; and how far it is from them. */
export function exportLowRank(
  { config, baseName, paths, updateOf, whole }: LowRankSource,
  rank: number,
): { files: AdapterFiles; error: LowRankError } {
  const wanted = new Set(paths);
  const layers = linearShapes(config).filter(({ name }) => wanted.has(name));
  const error = { total: 0, worst: 0, worstLayer: layers[0]?.name ?? '' };
  let [errorSquared, normSquared] = [0, 0];
  const pairs = layers.map(({ name }) => {
    const found = lowRankOf(updateOf(name), rank, createRandom(hashName(name)));
    errorSquared += found.errorSquared;
    normSquared += found.normSquared;
    const own = shareOf(found.errorSquared, found.normSquared);
    if (own > error.worst) Object.assign(error, { worst: own, worstLayer: name });
    return { name, a: found.a, b: found.b };
  });
  const adapter = { layers: [], baseName, dropout: 0, targetModules: targetNames(config, paths) };
  const files = addWhole(config, productFiles(adapter, pairs, rank, rank), whole);
  return { files, error: { ...error, total: shareOf(errorSquared, normSquared) } };
}

/** Of a layer that did not change there is nothing to miss. */
const shareOf = (errorSquared: number, normSquared: number): number =>
  normSquared === 0 ? 0 : Math.sqrt(errorSquared / normSquared);
