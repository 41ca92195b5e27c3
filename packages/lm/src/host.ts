import type { FileSlice, HostTensor } from '@moraine/engine';
import { loadTf, type Tensor } from '@moraine/engine';

export type { HostTensor } from '@moraine/engine';

/** Where a base weight comes from: bytes of a safetensors file, which never pass through JavaScript, or numbers on the host. */
export type WeightSource = HostTensor | (FileSlice & { shape: readonly number[] });

export const isOnHost = (source: WeightSource): source is HostTensor => 'data' in source;

/** Copies a tensor to the host; blocks until it is computed. */
export function toHost(tensor: Tensor): HostTensor {
  return { shape: [...tensor.shape], data: Float32Array.from(tensor.dataSync()) };
}

/** Uploads a tensor; the caller owns it. */
export function toDevice({ shape, data }: HostTensor): Tensor {
  return loadTf().tensor(data, shape);
}
