import { AppError } from '../errors.js';
import type { StoredDtype, TensorEntry } from '../safetensors.js';

/** Bytes of one read while the numbers of weights are looked at: a multiple of every element's size. */
export const CHECKED_BYTES = 4 * 1024 ** 2;

/**
 * Refuses a stretch of a weight that has a number which is not finite in float32: one of them makes every loss NaN.
 * @param bytes the weight's bytes from byte `from` on, which is a multiple of `CHECKED_BYTES`
 * @throws AppError `invalid_base` naming the tensor, the place in it and the value
 */
export function refuseNonFinite(
  { name, dtype, shape }: Pick<TensorEntry, 'name' | 'dtype' | 'shape'>,
  bytes: Uint8Array,
  from: number,
): void {
  const at = findNonFinite(dtype, bytes);
  if (at < 0) return;
  const [value, position] = [valueAt(dtype, bytes, at), placeOf(from / (SIZES[dtype] ?? 1) + at, shape)];
  throw new AppError('invalid_base', `${name} [${shape.join(', ')}] has ${value} at [${position.join(', ')}].`, {
    param: name,
    hint: 'A number that is not finite makes every loss NaN. Fetch the weights again; if a training run wrote them, it diverged: take an earlier checkpoint of it.',
  });
}

/** The floating types: size in bytes, and the bits of a word that are all set in NaN and infinity alone. F64 is looked at by value. */
const SIZES: Partial<Record<StoredDtype, number>> = { F64: 8, F32: 4, F16: 2, BF16: 2 };
const EXPONENTS: Partial<Record<StoredDtype, number>> = { F32: 0x7f800000, F16: 0x7c00, BF16: 0x7f80 };

function findNonFinite(dtype: StoredDtype, bytes: Uint8Array): number {
  const size = SIZES[dtype];
  if (size === undefined) return -1;
  const { buffer, byteOffset, length } = bytes.byteOffset % size === 0 ? bytes : new Uint8Array(bytes);
  const count = length / size;
  if (dtype === 'F64') {
    return new Float64Array(buffer, byteOffset, count).findIndex((x) => !Number.isFinite(Math.fround(x)));
  }
  const exponent = EXPONENTS[dtype] ?? 0;
  const words = size === 4 ? new Uint32Array(buffer, byteOffset, count) : new Uint16Array(buffer, byteOffset, count);
  for (let i = 0; i < count; i++) if (((words[i] ?? 0) & exponent) === exponent) return i;
  return -1;
}

function valueAt(dtype: StoredDtype, bytes: Uint8Array, at: number): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  if (dtype === 'F64') return String(view.getFloat64(8 * at, true));
  const word = dtype === 'F32' ? view.getUint32(4 * at, true) : view.getUint16(2 * at, true);
  const [exponent, sign] = [EXPONENTS[dtype] ?? 0, dtype === 'F32' ? word >>> 31 : word >>> 15];
  const mantissa = word & (dtype === 'F32' ? 0x7fffff : dtype === 'F16' ? 0x3ff : 0x7f);
  return exponent === 0 || mantissa !== 0 ? 'NaN' : sign ? '-Infinity' : 'Infinity';
}

/** The coordinates of the element at a flat index. */
function placeOf(index: number, shape: readonly number[]): number[] {
  let rest = index;
  return shape
    .toReversed()
    .map((side) => {
      const at = rest % side;
      rest = Math.floor(rest / side);
      return at;
    })
    .toReversed();
}
