import type { TensorInfo } from '@tensorflow/tfjs';
import { invariant } from '../error.js';
import type { Tf } from '../load.js';
import type { Cells } from './cells.js';
import type { Kernel, KernelCall, Kernels } from './kernel.js';

/** Makes kernels known to tfjs as those of a backend whose tensors are cells. */
export function registerKernels(tf: Tf, backendName: string, kernels: Kernels, cells: Cells): void {
  for (const [kernelName, kernel] of Object.entries(kernels))
    tf.registerKernel({ kernelName, backendName, kernelFunc: kernelFunc(kernelName, kernel, cells) as never });
}

/** The kernel as tfjs calls it. */
function kernelFunc(name: string, kernel: Kernel, cells: Cells) {
  return ({ inputs, attrs }: { inputs: Record<string, TensorInfo> | TensorInfo[]; attrs?: unknown }) => {
    cells.current = name;
    const result = kernel(callOf(name, inputs, attrs, cells));
    return Array.isArray(result) ? result.map((entry) => cells.made(entry)) : cells.made(result);
  };
}

function callOf(
  name: string,
  inputs: Record<string, TensorInfo> | TensorInfo[],
  attrs: unknown,
  cells: Cells,
): KernelCall {
  // tfjs hands a list to kernels of many tensors, and makes clones of anything, so Identity takes any type.
  const entryOf = ({ dataId }: TensorInfo) => (name === 'Identity' ? cells.entry(dataId) : cells.operand(dataId));
  const named = new Map(Object.entries(inputs).flatMap(([key, x]) => (x ? [[key, entryOf(x)]] : [])));
  return {
    graph: cells.graph,
    inputs: [...named.values()],
    input: (key) => {
      const entry = named.get(key);
      invariant(entry !== undefined, `${name} has no input ${key}`);
      return entry;
    },
    attrs: <T>() => (attrs ?? {}) as T,
  };
}
