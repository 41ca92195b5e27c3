import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from 'node:fs';
import path from 'node:path';
import {
  dtypeBytes,
  headerEnd,
  isDtype,
  parseHeader,
  SafetensorsError,
  type SafetensorsHeader,
  type TensorDtype,
} from '@moraine/contract/safetensors';
import { decode, encode, naturalDtype, type TensorData } from './dtype.js';
import { EngineError } from './error.js';

export type { TensorData, TensorDtype } from './dtype.js';

export interface SafetensorsTensor {
  /** The type in the file; `data` is widened as `decode` says. */
  dtype: TensorDtype;
  shape: number[];
  data: TensorData;
}

export interface SafetensorsFile {
  metadata: Record<string, string>;
  tensors: Map<string, SafetensorsTensor>;
}

export interface WritableTensor {
  shape: readonly number[];
  data: TensorData;
  /** F32, F16 or BF16 for a Float32Array; otherwise the array's own type. Default: the array's own type. */
  dtype?: TensorDtype;
}

/** A tensor whose numbers are made when it is written, so that only one is held at a time. */
export interface LazyTensor {
  shape: readonly number[];
  dtype: TensorDtype;
  make: () => TensorData;
}

/** A tensor whose bytes are as they are to be in the file. */
export interface StoredTensor {
  shape: readonly number[];
  dtype: TensorDtype;
  bytes: () => Iterable<Uint8Array>;
}

type AnyTensor = WritableTensor | LazyTensor | StoredTensor;

/** Names, types and shapes of a safetensors file, checked, without reading its tensors. */
export function readSafetensorsHeader(file: string, bytesMax?: number): SafetensorsHeader {
  return withFile(file, (fd) => header(file, fd, bytesMax));
}

/**
 * Reads a safetensors file. Float types arrive as Float32Array, one allocation a tensor, so the peak is the result's own size.
 * @param only names to read; the others are skipped.
 * @throws EngineError `safetensors_invalid` for anything that the format does not allow, `safetensors_unsupported` for a tensor of a type that is not read.
 */
export function readSafetensors(file: string, only: (name: string) => boolean = () => true): SafetensorsFile {
  return withFile(file, (fd) => {
    const { metadata, entries, dataStart } = header(file, fd);
    const tensors = new Map<string, SafetensorsTensor>();
    for (const { name, dtype, shape, begin, end } of entries) {
      if (!only(name)) continue;
      if (!isDtype(dtype)) throw unread(file, name, dtype);
      const bytes = new ArrayBuffer(end - begin);
      readExactly(file, fd, new Uint8Array(bytes), dataStart + begin);
      tensors.set(name, { dtype, shape, data: decode(dtype, bytes) });
    }
    return { metadata, tensors };
  });
}

/** The bytes of a safetensors file, made while they are read: one tensor is held at a time. */
export interface SafetensorsBytes {
  sizeBytes: number;
  pieces(): Generator<Uint8Array, void>;
}

/**
 * What a safetensors file of these tensors is. The order is fixed (element size downwards, then name), so equal tensors give equal bytes.
 * @throws EngineError `safetensors_write_failed` for data of another length than its shape says: at once, or when a lazy tensor is made.
 */
export function safetensorsBytes(
  tensors: ReadonlyMap<string, AnyTensor>,
  metadata: Record<string, string> = {},
): SafetensorsBytes {
  const rows = [...tensors].map(([name, tensor]) => rowOf(name, tensor));
  rows.sort((a, b) => dtypeBytes[b.dtype] - dtypeBytes[a.dtype] || (a.name < b.name ? -1 : 1));
  const head: Record<string, unknown> = Object.keys(metadata).length > 0 ? { __metadata__: metadata } : {};
  let at = 0;
  for (const { name, shape, count, dtype } of rows) {
    const begin = at;
    at += count * dtypeBytes[dtype];
    head[name] = { dtype, shape, data_offsets: [begin, at] };
  }
  const json = Buffer.from(JSON.stringify(head));
  const padded = Buffer.alloc(Math.ceil(json.length / 8) * 8, ' ');
  json.copy(padded);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(padded.length));
  return {
    sizeBytes: size.length + padded.length + at,
    *pieces() {
      yield size;
      yield padded;
      for (const { pieces } of rows) yield* pieces();
    },
  };
}

/** Writes a safetensors file: into a temporary file beside it, flushed, then renamed, so `file` is never seen half written. */
export function writeSafetensors(
  file: string,
  tensors: ReadonlyMap<string, AnyTensor>,
  metadata: Record<string, string> = {},
): void {
  const { pieces } = safetensorsBytes(tensors, metadata);
  const temporary = path.join(path.dirname(file), `.${path.basename(file)}.${randomBytes(6).toString('hex')}.tmp`);
  const fd = openSync(temporary, 'wx');
  try {
    try {
      for (const piece of pieces()) writeAll(fd, piece);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, file);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** A tensor as the file has it. Numbers that are there are checked now, others when they are made. */
function rowOf(name: string, tensor: AnyTensor) {
  const { shape } = tensor;
  const count = shape.reduce((product, size) => product * size, 1);
  if ('bytes' in tensor) return { name, shape, count, dtype: tensor.dtype, pieces: tensor.bytes };
  const dtype = 'make' in tensor ? tensor.dtype : (tensor.dtype ?? naturalDtype(tensor.data));
  const data = (): TensorData => checked(name, shape, count, 'make' in tensor ? tensor.make() : tensor.data);
  if (!('make' in tensor)) data();
  return { name, shape, count, dtype, pieces: () => [encode(dtype, data())] };
}

function checked(name: string, shape: readonly number[], count: number, data: TensorData): TensorData {
  if (count === data.length && name !== '__metadata__') return data;
  throw new EngineError(
    'safetensors_write_failed',
    `Tensor ${name} has shape [${shape.join(', ')}] = ${count} values, but ${data.length} were given.`,
    'Pass the shape that belongs to the data; the name __metadata__ is reserved.',
  );
}

function header(file: string, fd: number, bytesMax?: number): SafetensorsHeader {
  const fileBytes = fstatSync(fd).size;
  const read = (bytes: number): Uint8Array => {
    const head = new Uint8Array(bytes);
    readExactly(file, fd, head, 0);
    return head;
  };
  try {
    return parseHeader(read(headerEnd(read(Math.min(8, fileBytes)), fileBytes, bytesMax)), fileBytes);
  } catch (error) {
    throw error instanceof SafetensorsError ? invalid(file, error.message, error) : error;
  }
}

function invalid(file: string, what: string, cause?: unknown): EngineError {
  return new EngineError(
    'safetensors_invalid',
    `${file} is not a valid safetensors file: ${what}.`,
    'Fetch or export the file again; if it was copied, compare its size and sha256 with the original.',
    { cause },
  );
}

const unread = (file: string, name: string, dtype: string): EngineError =>
  new EngineError(
    'safetensors_unsupported',
    `${file}: ${name} is stored as ${dtype}, whose numbers are not read.`,
    'Save it in float32, float16 or bfloat16.',
  );

function withFile<T>(file: string, use: (fd: number) => T): T {
  const fd = openSync(file, 'r');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

// One call moves at most 2 GiB.
const chunkBytes = 1 << 30;

function readExactly(file: string, fd: number, into: Uint8Array, position: number): void {
  for (let done = 0; done < into.length; ) {
    const read = readSync(fd, into, done, Math.min(chunkBytes, into.length - done), position + done);
    if (read === 0) throw invalid(file, 'it ended while it was being read');
    done += read;
  }
}

function writeAll(fd: number, bytes: Uint8Array): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, Math.min(chunkBytes, bytes.length - done));
  }
}
