import type { FileSlice, HostTensor } from '@moraine/engine';
import { invariant, loadTf, readSlice, type Tensor } from '@moraine/engine';

export type { HostTensor } from '@moraine/engine';

/** Where a base weight comes from: bytes of a safetensors file, which never pass through JavaScript, or numbers on the host. */
export type WeightSource = HostTensor | (FileSlice & { shape: readonly number[] });

/** Reads weights of a base by name, each anew. */
export const weightReader =
  (weights: ReadonlyMap<string, WeightSource>) =>
  (name: string): HostTensor => {
    const source = weights.get(name);
    invariant(source !== undefined, `the base has no weight ${name}`);
    return isOnHost(source) ? source : { shape: [...source.shape], data: readSlice(source) };
  };

export const isOnHost = (source: WeightSource): source is HostTensor => 'data' in source;

/** Copies a tensor to the host; blocks until it is computed. */
export function toHost(tensor: Tensor): HostTensor {
  return { shape: [...tensor.shape], data: Float32Array.from(tensor.dataSync()) };
}

/** Uploads a tensor; the caller owns it. */
export function toDevice({ shape, data }: HostTensor): Tensor {
  return loadTf().tensor(data, shape);
}

/** The result of a computation, copied to the host; nothing of it stays on the device. */
export function onHost(compute: () => Tensor): HostTensor {
  const tensor = loadTf().tidy(compute);
  const value = toHost(tensor);
  tensor.dispose();
  return value;
}

/** Rows of the identity that go through a linear map at once. */
const BLOCK_ROWS = 256;

/** A linear map of rows as a matrix [width, out]: what it makes of the identity, a block of rows at a time, and of the first row's number. */
export function asMatrix(map: (unit: Tensor, first: number) => Tensor, width: number): Tensor {
  const tf = loadTf();
  const parts: Tensor[] = [];
  for (let first = 0; first < width; first += BLOCK_ROWS) {
    const rows = Math.min(BLOCK_ROWS, width - first);
    const unit = new Float32Array(rows * width);
    for (let row = 0; row < rows; row++) unit[row * width + first + row] = 1;
    parts.push(tf.tidy(() => map(tf.tensor2d(unit, [rows, width]), first)));
  }
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : tf.concat(parts, 0);
}

/** A matrix with rows of zeros below it until it has `count`. */
export function padRows({ shape: [rows = 0, columns = 0], data }: HostTensor, count: number): HostTensor {
  const padded = new Float32Array(count * columns);
  padded.set(data.subarray(0, rows * columns));
  return { shape: [count, columns], data: padded };
}

/** The transpose of a matrix. */
export function transposed({ shape: [rows = 0, columns = 0], data }: HostTensor): HostTensor {
  const turned = new Float32Array(data.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) turned[column * rows + row] = data[row * columns + column] ?? 0;
  return { shape: [columns, rows], data: turned };
}

/** A matrix with columns of zeros right of it until it has `count`. */
export function padColumns({ shape: [rows = 0, columns = 0], data }: HostTensor, count: number): HostTensor {
  const padded = new Float32Array(rows * count);
  for (let row = 0; row < rows; row++) padded.set(data.subarray(row * columns, (row + 1) * columns), row * count);
  return { shape: [rows, count], data: padded };
}
