import { InvariantError } from '../error.js';
import type { GraphDtype } from './attributes.js';

/** The number that all values are, or undefined. */
export function uniformValue(values: ArrayLike<number>): number | undefined {
  const first = values[0];
  for (let i = 1; i < values.length; i++) if (!Object.is(values[i], first)) return undefined;
  return first;
}

/** Numbers as a tensor's content. */
export function constantBytes(values: ArrayLike<number>, dtype: GraphDtype): Uint8Array {
  const array = constantArray(values, dtype);
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}

function constantArray(
  values: ArrayLike<number>,
  dtype: GraphDtype,
): Float32Array | Int32Array | Uint8Array | BigInt64Array {
  switch (dtype) {
    case 'float32':
      return Float32Array.from(values);
    case 'int32':
      return Int32Array.from(values);
    case 'bool':
    case 'uint8':
      return Uint8Array.from(values);
    case 'int64':
    case 'uint64':
      return BigInt64Array.from(Array.from(values, BigInt));
    default:
      throw new InvariantError(`no constants of type ${dtype}`);
  }
}
