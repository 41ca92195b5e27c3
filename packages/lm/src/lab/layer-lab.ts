import { decomposeSingular, loadTf, matMul2d, orthonormalColumns, type Tensor } from '@moraine/engine';
import { type HostTensor, toDevice } from '../host.js';
import { normal, type Random } from '../random.js';
import { normOf, numericalRank, rankHolding, stableRank } from './spectrum.js';
import { type Update, updateMatrix } from './update.js';

/** What an update of a weight is like. */
export interface UpdateFigures {
  /** ΔW's, falling, as many as the smaller side of ΔW's factors or of ΔW. */
  values: number[];
  norm: number;
  relativeNorm: number | null;
  rank90: number;
  stableRank: number | null;
  /** Directions that overlap and cosines are taken of: no more than ΔW has. */
  overlap: Overlap | null;
  /** Of each of W's largest left singular vectors, its largest |cosine| to any left singular vector of W0. */
  cosines: number[];
  /** The same of normal numbers of the same norm; null where ΔW is zero. */
  control: ControlFigures | null;
}

export interface Overlap {
  k: number;
  /** ‖U_kᵀ Û_k‖_F² / k of ΔW's k first left singular vectors Û_k and W0's; of the right ones. 0 is orthogonal, 1 the same space. */
  left: number;
  right: number;
}

export type ControlFigures = Pick<UpdateFigures, 'rank90' | 'stableRank' | 'overlap' | 'cosines'>;

export interface LayerLab {
  /** Shape [out, in] must be the weight's. */
  measure(update: Update): UpdateFigures;
  dispose(): void;
}

interface Singular {
  values: number[];
  /** Left singular vectors as columns [out, n], right ones [in, n]. */
  u: Tensor;
  v: Tensor;
}

/**
 * Decomposes a weight W0 [out, in] and a control of its shape once, to measure many updates of it. Intruder dimensions: Shuttleworth et al. 2024,
 * arXiv:2410.21228, Algorithm 1; overlap as φ of Hu et al. 2021, arXiv:2106.09685, Eq. 4. Float32 throughout.
 * @param k singular vectors of each matrix that are compared
 */
export function createLayerLab(weight: HostTensor, { k, random }: { k: number; random: Random }): LayerLab {
  const tf = loadTf();
  const [outDim = 0, inDim = 0] = weight.shape;
  const count = Math.min(k, outDim, inDim);
  const base = toDevice(weight);
  const baseParts = singularOf(base);
  const baseNorm = normOf(baseParts.values);
  const noise = tf.tensor2d(normal(random, outDim * inDim, 1), [outDim, inDim]) as Tensor;
  const noiseParts = singularOf(noise);
  const noiseNorm = normOf(noiseParts.values);

  const overlapOf = (parts: Singular): Overlap | null => {
    const own = Math.min(count, numericalRank(parts.values, Math.max(outDim, inDim)));
    if (own === 0) return null;
    return { k: own, left: spaceOverlap(baseParts.u, parts.u, own), right: spaceOverlap(baseParts.v, parts.v, own) };
  };
  const cosinesOf = (update: Tensor): number[] => {
    const { u } = singularOf(tf.tidy(() => tf.add(base, update)));
    const cosines = tf.tidy(() => tf.max(tf.abs(matMul2d(baseParts.u, firstColumns(u, count), true)), 0)); // [count]
    return Array.from(cosines.dataSync());
  };
  const controlAt = (norm: number): ControlFigures => ({
    rank90: rankHolding(noiseParts.values),
    stableRank: stableRank(noiseParts.values),
    overlap: overlapOf(noiseParts),
    cosines: inScope(() => cosinesOf(tf.mul(noise, norm / noiseNorm))),
  });

  return {
    measure: (update) =>
      inScope(() => {
        const matrix = updateMatrix(update);
        const parts = update.kind === 'thin' ? thinSingular(update.b, update.a) : singularOf(matrix);
        const { values } = parts;
        const norm = normOf(values);
        const overlap = overlapOf(parts);
        return {
          values,
          norm,
          relativeNorm: baseNorm === 0 ? null : norm / baseNorm,
          rank90: rankHolding(values),
          stableRank: stableRank(values),
          overlap,
          cosines: norm === 0 ? Array.from({ length: count }, () => 1) : cosinesOf(matrix),
          control: norm === 0 ? null : controlAt(norm),
        };
      }),
    dispose: () => tf.dispose([base, noise, baseParts.u, baseParts.v, noiseParts.u, noiseParts.v]),
  };
}

/** Computes numbers; no tensor made on the way is left. */
function inScope<T>(compute: () => T): T {
  const found: T[] = [];
  loadTf().tidy(() => {
    found.push(compute());
  });
  return found[0] as T;
}

function singularOf(matrix: Tensor): Singular {
  const { values, u, v } = decomposeSingular(matrix);
  const onHost = Array.from(values.dataSync());
  values.dispose();
  return { values: onHost, u, v };
}

/** Singular values and vectors of b·a, b [out, n] and a [n, in]: of Q_bᵀ·b·a·Q_a [n, n] with the Q of both sides; n³ in place of out·in·n. */
function thinSingular(b: HostTensor, a: HostTensor): Singular {
  const tf = loadTf();
  const [outDim = 0, inner = 0] = b.shape;
  const [left, right] = [toDevice(b), toDevice(a)];
  if (inner >= Math.min(outDim, a.shape[1] ?? 0)) return singularOf(matMul2d(left, right));
  const [qLeft, qRight] = [orthonormalColumns(left), orthonormalColumns(tf.transpose(right) as Tensor)]; // [out, n], [in, n]
  const { values, u, v } = singularOf(matMul2d(matMul2d(qLeft, left, true), matMul2d(right, qRight)));
  return { values, u: matMul2d(qLeft, u), v: matMul2d(qRight, v) };
}

/** ‖A_kᵀ B_k‖_F² / k of the first k columns. */
function spaceOverlap(a: Tensor, b: Tensor, k: number): number {
  const tf = loadTf();
  const sum = tf.tidy(() => tf.sum(tf.square(matMul2d(firstColumns(a, k), firstColumns(b, k), true))));
  const [overlap = Number.NaN] = sum.dataSync();
  sum.dispose();
  return overlap / k;
}

const firstColumns = (x: Tensor, count: number): Tensor =>
  loadTf().slice(x, [0, 0], [x.shape[0] ?? 0, count]) as Tensor;
