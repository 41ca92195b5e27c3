import type { TensorDtype } from '@moraine/contract/safetensors';
import { EngineError } from './error.js';

export type { TensorDtype };

export type TensorData = Float32Array | Int32Array | Uint32Array | Uint8Array | BigInt64Array | BigUint64Array;

/**
 * Bytes of a file (little endian, at the start of an ArrayBuffer of their own) as numbers:
 * every float type -> Float32Array (F16 and BF16 exactly, F64 rounded), I8, I16, U16, I32 -> Int32Array, U8 and BOOL -> Uint8Array,
 * U32 -> Uint32Array, I64 and U64 -> big integers.
 */
export function decode(dtype: TensorDtype, bytes: ArrayBuffer): TensorData {
  switch (dtype) {
    case 'F32':
      return new Float32Array(bytes);
    case 'F64':
      return Float32Array.from(new Float64Array(bytes));
    case 'F16':
      return f16ToF32(new Uint16Array(bytes));
    case 'BF16':
      return bf16ToF32(new Uint16Array(bytes));
    case 'I8':
      return Int32Array.from(new Int8Array(bytes));
    case 'I16':
      return Int32Array.from(new Int16Array(bytes));
    case 'U16':
      return Int32Array.from(new Uint16Array(bytes));
    case 'I32':
      return new Int32Array(bytes);
    case 'U32':
      return new Uint32Array(bytes);
    case 'U8':
    case 'BOOL':
      return new Uint8Array(bytes);
    case 'I64':
      return new BigInt64Array(bytes);
    case 'U64':
      return new BigUint64Array(bytes);
  }
}

/** Numbers as bytes of a file. Float32Array -> F32, F16 or BF16 (to nearest, ties to even); other arrays keep their own type. */
export function encode(dtype: TensorDtype, data: TensorData): Uint8Array {
  if (dtype === naturalDtype(data) || (dtype === 'BOOL' && data instanceof Uint8Array)) {
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  }
  if (data instanceof Float32Array && dtype === 'BF16') return new Uint8Array(f32ToBf16(data).buffer);
  if (data instanceof Float32Array && dtype === 'F16') return new Uint8Array(f32ToF16(data).buffer);
  throw new EngineError(
    'safetensors_write_failed',
    `A ${data.constructor.name} cannot be written as ${dtype}.`,
    'Give a Float32Array for F32, F16 and BF16, and the matching integer array otherwise.',
  );
}

export function naturalDtype(data: TensorData): TensorDtype {
  if (data instanceof Float32Array) return 'F32';
  if (data instanceof Int32Array) return 'I32';
  if (data instanceof Uint32Array) return 'U32';
  if (data instanceof Uint8Array) return 'U8';
  return data instanceof BigInt64Array ? 'I64' : 'U64';
}

function bf16ToF32(half: Uint16Array): Float32Array {
  const bits = new Uint32Array(half.length);
  for (let i = 0; i < half.length; i++) bits[i] = (half[i] ?? 0) << 16;
  return new Float32Array(bits.buffer);
}

/** IEEE 754 binary16 -> binary32 by a table of all 65,536 values, made at first use (256 KiB). */
let f16Table: Uint32Array | undefined;
function f16ToF32(half: Uint16Array): Float32Array {
  f16Table ??= Uint32Array.from({ length: 65536 }, (_, h) => f16Bits(h));
  const bits = new Uint32Array(half.length);
  for (let i = 0; i < half.length; i++) bits[i] = f16Table[half[i] ?? 0] ?? 0;
  return new Float32Array(bits.buffer);
}

function f16Bits(h: number): number {
  const sign = (h & 0x8000) << 16;
  const exponent = (h >> 10) & 0x1f;
  const mantissa = h & 0x3ff;
  if (exponent === 0x1f) return (sign | 0x7f800000 | (mantissa << 13)) >>> 0;
  if (exponent !== 0) return (sign | ((exponent + 112) << 23) | (mantissa << 13)) >>> 0;
  if (mantissa === 0) return sign >>> 0;
  const shift = Math.clz32(mantissa) - 21; // subnormal: move the leading one to bit 10
  return (sign | ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13)) >>> 0;
}

function f32ToBf16(data: Float32Array): Uint16Array {
  const bits = bitsOf(data);
  const out = new Uint16Array(data.length);
  for (let i = 0; i < out.length; i++) {
    const b = bits[i] ?? 0;
    const isNan = (b & 0x7fffffff) > 0x7f800000;
    out[i] = isNan ? (b >>> 16) | 0x40 : (b + 0x7fff + ((b >>> 16) & 1)) >>> 16;
  }
  return out;
}

function f32ToF16(data: Float32Array): Uint16Array {
  const bits = bitsOf(data);
  const out = new Uint16Array(data.length);
  for (let i = 0; i < out.length; i++) out[i] = f16FromBits(bits[i] ?? 0);
  return out;
}

function f16FromBits(b: number): number {
  const sign = (b >>> 16) & 0x8000;
  const magnitude = b & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // rounds to more than 65504
  if (magnitude >= 0x38800000) {
    // Normal: drop 13 mantissa bits, to nearest even; a carry moves into the exponent by itself.
    return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  }
  const shift = 126 - (magnitude >>> 23); // subnormal: units of 2^-24
  if (shift > 24) return sign;
  const mantissa = (magnitude & 0x7fffff) | 0x800000;
  const kept = mantissa >>> shift;
  const rest = mantissa & ((1 << shift) - 1);
  const halfway = 1 << (shift - 1);
  return sign | (kept + (rest > halfway || (rest === halfway && (kept & 1) === 1) ? 1 : 0));
}

/** The same memory as unsigned words, copied only when it does not start on a word. */
function bitsOf(data: Float32Array): Uint32Array {
  return new Uint32Array(data.buffer, data.byteOffset, data.length);
}
