import { loadTf, type Tensor } from '@moraine/engine';

/** A float32 tensor on the host, row-major. */
export interface HostTensor {
  shape: number[];
  data: Float32Array;
}

/** Copies a tensor to the host; blocks until it is computed. */
export function toHost(tensor: Tensor): HostTensor {
  return { shape: [...tensor.shape], data: Float32Array.from(tensor.dataSync()) };
}

/** Uploads a tensor; the caller owns it. */
export function toDevice({ shape, data }: HostTensor): Tensor {
  return loadTf().tensor(data, shape);
}
