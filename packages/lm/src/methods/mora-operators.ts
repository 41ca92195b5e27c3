import type { MoraType } from '@moraine/contract/methods/mora';
import { invariant, loadTf, matMul2d, smallMatMul, type Tensor } from '@moraine/engine';
import { asMatrix, type HostTensor, onHost, toDevice } from '../host.js';
import { at, differentiable, type Rotary, rotate, rotateBack } from '../ops.js';
import { extend, fold, repeatGroups, resize, sumGroups } from './columns.js';

/** The update of one layer: x [N, k], m [R, R] -> [N, d]. */
export type MoraOperator = (x: Tensor, m: Tensor, outDim: number) => Tensor;

/** Brings columns to another number of them by a fixed linear map: x [N, from] -> [N, width]. `back` is its transpose. */
interface ColumnMap {
  to(x: Tensor, width: number): Tensor;
  back(dy: Tensor, width: number): Tensor;
}

/** Inputs whose index is equal modulo R are summed, after circular padding to a multiple of R. */
const strided: ColumnMap = {
  to: (x, side) => fold(extend(x, paddedTo(x.shape[1] ?? 0, side)), side),
  back: (dy, inDim) => fold(extend(dy, paddedTo(inDim, dy.shape[1] ?? 1)), inDim),
};
/** R groups of inputs side by side are summed; the first k mod R of them have one more. */
const contiguous: ColumnMap = { to: sumGroups, back: repeatGroups };
/** y_i = z_(i mod R). */
const tiled: ColumnMap = { to: extend, back: fold };
/** Every z as often as its group of outputs is long. */
const interleaved: ColumnMap = { to: repeatGroups, back: sumGroups };
/** The first columns, zeros where there are no more. */
const first: ColumnMap = { to: resize, back: resize };

/** The maps of the types whose update is spread · M · compress, exactly a LoRA of rank R; the others go block by block. */
const THIN: Partial<Record<MoraType, { compress: ColumnMap; spread: ColumnMap }>> = {
  1: { compress: strided, spread: tiled },
  2: { compress: contiguous, spread: interleaved },
  3: { compress: contiguous, spread: tiled },
  4: { compress: strided, spread: interleaved },
  truncation: { compress: first, spread: first },
};

/** The operator of a type. `readsAll`: see `blockwise`. */
export function moraOperator(type: MoraType, readsAll = false): MoraOperator {
  const maps = THIN[type];
  return maps === undefined ? blockwise(type === 6, readsAll) : thin(maps.compress, maps.spread);
}

/** The update of a layer with variables of its own for each row: x [B, T, k], Mᵀ [B, R, R] -> [B, T, d]. */
export type RowsOperator = (x: Tensor, transposed: Tensor, outDim: number) => Tensor;

/** It takes Mᵀ because small products with M itself are slower. Not differentiable. */
export function moraOfRows(type: MoraType, readsAll = false): RowsOperator {
  const maps = THIN[type];
  const blocks = blocksOf(type === 6, readsAll);
  return (x, transposed, outDim) => {
    const tf = loadTf();
    const [batch = 0, time = 0, inDim = 0] = x.shape;
    const side = transposed.shape[2] ?? 0;
    const rows = tf.reshape(x, [batch * time, inDim]);
    const entered = maps === undefined ? blocks.enter(rows, side, outDim) : maps.compress.to(rows, side);
    const z = tf.reshape(smallMatMul(tf.reshape(entered, [batch, -1, side]), transposed), entered.shape);
    const left = maps === undefined ? blocks.leave(z, side, outDim) : maps.spread.to(z, outDim);
    return tf.reshape(left, [batch, time, outDim]);
  };
}

/** A thin type as the pair of a LoRA, A [R, in] = compress and B [out, R] = spread · M; null for the others. */
export function moraAsLora(type: MoraType, m: HostTensor, inDim: number, outDim: number) {
  const maps = THIN[type];
  if (maps === undefined) return null;
  const { transpose } = loadTf();
  const [side = 0] = m.shape;
  return {
    a: onHost(() => transpose(asMatrix((unit) => maps.compress.to(unit, side), inDim))),
    b: onHost(() => transpose(maps.spread.to(transpose(toDevice(m)), outDim))),
  };
}

/** y = spread(M · compress(x)): Eq. 4 to 7. The maps go back by their transposes, so the gradient is the same with Mᵀ. */
function thin(compress: ColumnMap, spread: ColumnMap): MoraOperator {
  return (x, m, outDim) => {
    const [, inDim = 0] = x.shape;
    const side = m.shape[0] ?? 0;
    return differentiable(
      [x, m],
      () => {
        const compressed = compress.to(x, side); // [N, R]
        return { value: spread.to(matMul2d(compressed, m, false, true), outDim), saved: [compressed, m] };
      },
      (dy, [compressed, keptM]) => {
        const dShared = spread.back(dy, side); // [N, R]
        return [compress.back(matMul2d(dShared, keptM), inDim), matMul2d(dShared, compressed, true)];
      },
    );
  };
}

/** The groups of a sharing type as numbers: 1 where inputs are grouped strided, 1 where outputs are tiled; 0 for neighbours. */
export const groupsOf = (type: MoraType): Float32Array =>
  Float32Array.of(THIN[type]?.compress === strided ? 1 : 0, THIN[type]?.spread === tiled ? 1 : 0);

/** The type that has these groups. */
export function typeOfGroups(groups: Float32Array): MoraType {
  const found = ([1, 2, 3, 4] as const).find((type) => groupsOf(type).every((value, i) => value === groups[i]));
  invariant(found !== undefined, `groups ${groups.join()} are of no type`);
  return found;
}

/** A sharing type whose groups are a variable [2] (`groupsOf`): both ways of grouping times 1 and 0, so that one graph serves all. */
export function groupedOperator(x: Tensor, m: Tensor, groups: Tensor, outDim: number): Tensor {
  const tf = loadTf();
  const [, inDim = 0] = x.shape;
  const side = m.shape[0] ?? 0;
  const share = (given: Tensor, index: number): Tensor => tf.slice(given, [index], [1]);
  return differentiable(
    [x, m],
    () => {
      const compressed = mixed(strided, contiguous, share(groups, 0)).to(x, side); // [N, R]
      const spread = mixed(tiled, interleaved, share(groups, 1));
      return { value: spread.to(matMul2d(compressed, m, false, true), outDim), saved: [compressed, m, groups] };
    },
    (dy, [compressed, keptM, kept]) => {
      const dShared = mixed(tiled, interleaved, share(kept, 1)).back(dy, side);
      const dx = mixed(strided, contiguous, share(kept, 0)).back(matMul2d(dShared, keptM), inDim);
      return [dx, matMul2d(dShared, compressed, true)];
    },
  );
}

/** The first map times a share, the second times what is left of 1. */
function mixed(first: ColumnMap, second: ColumnMap, share: Tensor): ColumnMap {
  const tf = loadTf();
  const mix = (a: Tensor, b: Tensor): Tensor => tf.add(tf.mul(a, share), tf.mul(b, tf.sub(1, share)));
  return {
    to: (x, width) => mix(first.to(x, width), second.to(x, width)),
    back: (dy, width) => mix(first.back(dy, width), second.back(dy, width)),
  };
}

/**
 * Eq. 8 and 9: x in blocks of R, each through the same M, the results side by side, cut or repeated to d; with rotation block b is turned
 * by b·theta_t, theta_t = 10000^(-2t/R), before. Blocks that the cut drops are not computed, or with `readsAll`, which is not in the paper,
 * are added to the outputs of the block whose number is equal modulo the number of blocks of outputs.
 */
function blockwise(isRotated: boolean, readsAll: boolean): MoraOperator {
  const { enter, leave, shapeOf, tables } = blocksOf(isRotated, readsAll);
  return (x, m, outDim) => {
    const tf = loadTf();
    const [rows = 0, inDim = 0] = x.shape;
    const side = m.shape[0] ?? 0;
    const { blocks, width, summed } = shapeOf(inDim, side, outDim);
    return differentiable(
      [x, m],
      () => {
        const turn = tables(blocks, side);
        const turned = tf.reshape(enter(x, side, outDim, turn), [rows * blocks, side]);
        const z = tf.reshape(matMul2d(turned, m, false, true), [rows, blocks, side]);
        const saved = turn === null ? [turned, m] : [turned, m, turn.cos, turn.sin];
        return { value: leave(z, side, outDim), saved };
      },
      (dy, saved) => {
        const dz = tf.reshape(extend(fold(dy, summed), width), [rows * blocks, side]);
        const dTurned = tf.reshape(matMul2d(dz, at(saved, 1)), [rows, blocks, side]);
        const dParts = isRotated ? rotateBack(dTurned, { cos: at(saved, 2), sin: at(saved, 3), width: side }) : dTurned;
        const dx = fold(tf.reshape(dParts, [rows, width]), inDim);
        return [dx, matMul2d(dz, at(saved, 0), true)];
      },
    );
  };
}

/** What stands before and after M in `blockwise`. */
function blocksOf(isRotated: boolean, readsAll: boolean) {
  const tables = (blocks: number, side: number): Rotary | null => (isRotated ? blockAngles(blocks, side) : null);
  /** Blocks that are computed, their columns, and the columns of outputs that these are summed to. */
  const shapeOf = (inDim: number, side: number, outDim: number) => {
    const [ofInputs, ofOutputs] = [Math.ceil(inDim / side), Math.ceil(outDim / side)];
    const blocks = readsAll ? ofInputs : Math.min(ofInputs, ofOutputs);
    return { blocks, width: blocks * side, summed: Math.min(blocks, ofOutputs) * side };
  };
  return {
    tables,
    shapeOf,
    /** x [N, k] -> turned blocks [N, n, R]. */
    enter(x: Tensor, side: number, outDim: number, turn?: Rotary | null): Tensor {
      const { blocks, width } = shapeOf(x.shape[1] ?? 0, side, outDim);
      const parts = loadTf().reshape(extend(x, width), [x.shape[0] ?? 0, blocks, side]);
      const by = turn === undefined ? tables(blocks, side) : turn;
      return by === null ? parts : rotate(parts, by);
    },
    /** Blocks behind M, [N, n, R] -> [N, d]. */
    leave(z: Tensor, side: number, outDim: number): Tensor {
      const [rows = 0, blocks = 0] = z.shape;
      const summed = Math.min(blocks, Math.ceil(outDim / side)) * side;
      return extend(fold(loadTf().reshape(z, [rows, blocks * side]), summed), outDim);
    },
  };
}

/** Cos and (-sin, sin) of b·theta_t for blocks b = 0 … n-1: each [n, R]. Angles are computed in float32, as the authors' code does. */
function blockAngles(blocks: number, side: number): Rotary {
  const tf = loadTf();
  const theta = Float32Array.from({ length: side / 2 }, (_, t) => 10_000 ** ((-2 * t) / side));
  const angles = tf.mul(tf.reshape(tf.range(0, blocks), [blocks, 1]), tf.tensor2d(theta, [1, side / 2])); // [n, R/2]
  const [cos, sin] = [tf.cos(angles), tf.sin(angles)];
  return { cos: tf.concat([cos, cos], 1), sin: tf.concat([tf.neg(sin), sin], 1), width: side };
}

const paddedTo = (columns: number, side: number): number => Math.ceil(columns / side) * side;
