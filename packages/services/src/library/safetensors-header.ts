import { AppError } from '@moraine/contract';
import { z } from 'zod';

const HEADER_BYTES_MAX = 100 * 1024 ** 2;
const DTYPE_BYTES: Readonly<Record<string, number>> = { F32: 4, F16: 2, BF16: 2 };

const Entry = z.strictObject({
  dtype: z.string(),
  shape: z.array(z.int().min(0)),
  data_offsets: z.tuple([z.int().min(0), z.int().min(0)]),
});

export interface TensorHeader {
  name: string;
  dtype: string;
  shape: number[];
}

/** Reads bytes `[start, end]` of a file, both included. */
export type ReadRange = (start: number, end: number) => Promise<Buffer>;

/**
 * Names, types and shapes in a safetensors file, read without its tensors. The tensors must fill the file: first offset 0, no holes,
 * no trailing bytes, and no two tensors over the same bytes (an aliased tensor would be trained and merged twice).
 * Format: 8 bytes little-endian header length, JSON header, data.
 * @throws AppError `invalid_base` naming the file, the tensor and what is wrong.
 */
export async function readTensorHeaders(filename: string, sizeBytes: number, read: ReadRange): Promise<TensorHeader[]> {
  if (sizeBytes < 8) throw broken(filename, `has ${sizeBytes} bytes`);
  const headerBytes = Number((await read(0, 7)).readBigUInt64LE());
  if (headerBytes < 2 || headerBytes > HEADER_BYTES_MAX || 8 + headerBytes > sizeBytes) {
    throw broken(filename, `says that its header is ${headerBytes} bytes long`);
  }
  const entries = parseHeader(filename, (await read(8, 7 + headerBytes)).toString('utf8'));
  refuseGaps(filename, entries, sizeBytes - 8 - headerBytes);
  return entries.map(({ name, dtype, shape }) => ({ name, dtype, shape }));
}

interface PlacedTensor extends TensorHeader {
  begin: number;
  end: number;
}

function parseHeader(filename: string, text: string): PlacedTensor[] {
  let header: unknown;
  try {
    header = JSON.parse(text);
  } catch (cause) {
    throw broken(filename, 'has a header that is not JSON', cause);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header))
    throw broken(filename, 'has a header that is not an object');
  return Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, value]) => {
      const entry = Entry.safeParse(value);
      if (!entry.success) throw broken(filename, `describes ${name} wrongly`, entry.error);
      const { dtype, shape, data_offsets } = entry.data;
      const [begin, end] = data_offsets;
      const elementBytes = DTYPE_BYTES[dtype];
      if (elementBytes === undefined)
        throw broken(filename, `stores ${name} as ${dtype}, which is none of F32, F16, BF16`);
      const sizeBytes = shape.reduce((product, side) => product * side, elementBytes);
      if (end - begin !== sizeBytes)
        throw broken(filename, `gives ${name} [${shape.join(', ')}] ${end - begin} bytes instead of ${sizeBytes}`);
      return { name, dtype, shape, begin, end };
    });
}

function refuseGaps(filename: string, entries: readonly PlacedTensor[], dataBytes: number): void {
  let position = 0;
  let before = 'the header';
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < position) throw broken(filename, `has two tensors over the same bytes: ${before} and ${name}`);
    if (begin > position) throw broken(filename, `has ${begin - position} unused bytes before ${name}`);
    position = end;
    before = name;
  }
  if (position !== dataBytes) throw broken(filename, `has ${dataBytes - position} bytes after its last tensor`);
}

function broken(filename: string, problem: string, cause?: unknown): AppError {
  return new AppError('invalid_base', `${filename} ${problem}.`, {
    param: filename,
    hint: 'Write the model again with safetensors, each tensor once.',
    cause,
  });
}
