// GGUF version 3: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md

/** A value of the metadata with its type. */
export type GgufValue =
  | { type: 'u32' | 'i32' | 'f32'; value: number }
  | { type: 'bool'; value: boolean }
  | { type: 'string'; value: string }
  | { type: 'strings'; value: readonly string[] }
  | { type: 'f32s' | 'i32s'; value: readonly number[] };
export type GgufMetadata = readonly (readonly [key: string, value: GgufValue])[];

export type GgufDtype = 'F32' | 'F16';
export interface GgufTensor {
  name: string;
  /** As everywhere here, the last dimension contiguous; the file has them the other way round. */
  shape: readonly number[];
  dtype: GgufDtype;
}

/** Every tensor begins at a multiple of this. */
const ALIGNMENT = 32;
const DTYPES: Record<GgufDtype, { code: number; bytes: number }> = {
  F32: { code: 0, bytes: 4 },
  F16: { code: 1, bytes: 2 },
};
const SCALARS = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8 } as const;
const ARRAY = 9;
const ITEMS = { strings: 'string', f32s: 'f32', i32s: 'i32' } as const;

export const bytesOf = ({ shape, dtype }: Pick<GgufTensor, 'shape' | 'dtype'>): number =>
  shape.reduce((product, side) => product * side, 1) * DTYPES[dtype].bytes;

/** Bytes of zeros behind so many bytes, up to the next tensor. */
export const padding = (bytes: number): number => (ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT;

/** All before the first tensor's bytes. Tensors follow in this order, each padded to the alignment. */
export function ggufHeader(metadata: GgufMetadata, tensors: readonly GgufTensor[]): Buffer {
  const parts = [Buffer.from('GGUF'), u32(3), u64(tensors.length), u64(metadata.length)];
  for (const [key, value] of metadata) parts.push(text(key), ...valueBytes(value));
  let offset = 0;
  for (const tensor of tensors) {
    const { name, shape, dtype } = tensor;
    parts.push(text(name), u32(shape.length), ...shape.toReversed().map(u64), u32(DTYPES[dtype].code), u64(offset));
    offset += bytesOf(tensor) + padding(bytesOf(tensor));
  }
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  return Buffer.concat([...parts, Buffer.alloc(padding(size))]);
}

function valueBytes({ type, value }: GgufValue): Buffer[] {
  if (typeof value !== 'object')
    return [u32(SCALARS[type as keyof typeof SCALARS]), scalar(type as keyof typeof SCALARS, value)];
  const item = ITEMS[type as keyof typeof ITEMS];
  return [u32(ARRAY), u32(SCALARS[item]), u64(value.length), ...value.map((one) => scalar(item, one))];
}

function scalar(type: keyof typeof SCALARS, value: number | string | boolean): Buffer {
  if (type === 'string') return text(String(value));
  const bytes = Buffer.alloc(type === 'bool' ? 1 : 4);
  if (type === 'bool') bytes.writeUInt8(Number(value));
  else if (type === 'f32') bytes.writeFloatLE(Number(value));
  else if (type === 'i32') bytes.writeInt32LE(Number(value));
  else bytes.writeUInt32LE(Number(value));
  return bytes;
}

const u32 = (value: number): Buffer => scalar('u32', value);

function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(BigInt(value));
  return bytes;
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}
