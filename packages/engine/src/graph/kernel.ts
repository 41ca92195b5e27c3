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
