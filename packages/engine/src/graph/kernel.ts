import type { Entry, Graph } from './graph.js';

/**
 * How a tfjs kernel is written into a graph: the TensorFlow operation and the shape of what it gives. Returning an input's own entry is
 * fine; entries are never changed.
 */
export type Kernel = (call: KernelCall) => Entry | Entry[];

export type Kernels = Readonly<Record<string, Kernel>>;

export interface KernelCall {
  graph: Graph;
  /** The input of that name. */
  input(name: string): Entry;
  /** All inputs in order. */
  inputs: readonly Entry[];
  /** The kernel's attributes, of the type that tfjs-core declares for it. */
  attrs<T>(): T;
}

export const typed = (dtype: Entry['dtype']) => ({ type: dtype }) as const;
export const INT = { type: 'int32' } as const;

/** The axis counted from the front. */
export const axisOf = (axis: number, rank: number): number => (axis < 0 ? axis + rank : axis);

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** The shape that two operands are brought to (numpy's rule). */
export function broadcast(a: readonly number[], b: readonly number[]): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const [left, right] = [a[a.length - rank + i] ?? 1, b[b.length - rank + i] ?? 1];
    if (left !== right && left !== 1 && right !== 1)
      throw new Error(`[${a.join(', ')}] and [${b.join(', ')}] do not broadcast`);
    return left === 1 ? right : left;
  });
}
