// The header of a safetensors file (https://huggingface.co/docs/safetensors): 8 bytes little-endian header length, JSON header, data.

/** The element types whose numbers this project reads and writes, with their size in bytes. */
export const dtypeBytes = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  U64: 8,
  I32: 4,
  U32: 4,
  I16: 2,
  U16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type TensorDtype = keyof typeof dtypeBytes;

/** Whether numbers of a type are read and written here. */
export const isDtype = (name: string): name is TensorDtype => Object.hasOwn(dtypeBytes, name);

/** Every element type that the format has, with its size in bits: a file of one that is not read here is a valid file. */
const dtypeBits = {
  F64: 64,
  F32: 32,
  F16: 16,
  BF16: 16,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F4: 4,
  C64: 64,
  I64: 64,
  U64: 64,
  I32: 32,
  U32: 32,
  I16: 16,
  U16: 16,
  I8: 8,
  U8: 8,
  BOOL: 8,
} as const satisfies Record<TensorDtype, number> & Record<string, number>;

export type StoredDtype = keyof typeof dtypeBits;

const isStoredDtype = (name: unknown): name is StoredDtype =>
  typeof name === 'string' && Object.hasOwn(dtypeBits, name);

export interface TensorEntry {
  name: string;
  dtype: StoredDtype;
  shape: number[];
  /** First byte and the byte after the last, counted from the end of the header. */
  begin: number;
  end: number;
}

export interface SafetensorsHeader {
  metadata: Record<string, string>;
  /** In the order of their bytes in the file. */
  entries: TensorEntry[];
  /** Offset of the first tensor byte in the file. */
  dataStart: number;
}

/** A longer header is refused before it is read, as the format's reference implementation does. */
export const headerBytesMax = 100_000_000;

/** What is wrong with a file; the message goes on after "FILE is not a valid safetensors file: ". */
export class SafetensorsError extends Error {
  override readonly name = 'SafetensorsError';
}

/**
 * Returns the offset of the first tensor byte, from the first eight bytes of a file (fewer when the file has fewer).
 * @throws SafetensorsError when the file cannot have such a header, or it is longer than `bytesMax`
 */
export function headerEnd(head: Uint8Array, fileBytes: number, bytesMax = headerBytesMax): number {
  if (fileBytes < 8 || head.length < 8) throw new SafetensorsError(`it has ${fileBytes} bytes, too few for a header`);
  const headerBytes = new DataView(head.buffer, head.byteOffset, 8).getBigUint64(0, true);
  if (headerBytes > BigInt(headerBytesMax)) {
    throw new SafetensorsError(`it announces a header of ${headerBytes} bytes; the format allows ${headerBytesMax}`);
  }
  if (headerBytes > BigInt(bytesMax)) {
    throw new SafetensorsError(`it has a header of ${headerBytes} bytes; for this model ${bytesMax} are enough`);
  }
  const end = 8 + Number(headerBytes);
  if (end > fileBytes) throw new SafetensorsError(`it is cut short inside its header of ${headerBytes} bytes`);
  return end;
}

/**
 * Parses the header of a safetensors file of `fileBytes` bytes from the bytes before its first tensor. It is as strict as the format is
 * defined: known types, sizes that agree with the shapes, bytes without hole or overlap, no repeated name, exactly `fileBytes` in all.
 * @throws SafetensorsError
 */
export function parseHeader(head: Uint8Array, fileBytes: number): SafetensorsHeader {
  const dataStart = headerEnd(head, fileBytes);
  const text = new TextDecoder().decode(head.subarray(8, dataStart));
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw new SafetensorsError('its header is not JSON', { cause });
  }
  if (!isRecord(parsed) || !text.startsWith('{')) throw new SafetensorsError('its header is not a JSON object');
  const repeated = repeatedKey(text);
  if (repeated !== undefined)
    throw new SafetensorsError(`the name ${JSON.stringify(repeated)} appears twice in its header`);

  const { __metadata__, ...tensors } = parsed;
  const entries = Object.entries(tensors).map(([name, value]) => parseEntry(name, value));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  refuseGaps(entries, fileBytes - dataStart);
  return { metadata: parseMetadata(__metadata__), entries, dataStart };
}

function parseMetadata(raw: unknown): Record<string, string> {
  const metadata: Record<string, string> = {};
  if (raw === undefined) return metadata;
  if (!isRecord(raw)) throw new SafetensorsError('__metadata__ is not an object');
  for (const [key, value] of Object.entries(raw)) {
    if (typeof value !== 'string') throw new SafetensorsError(`__metadata__.${key} is not a string`);
    metadata[key] = value;
  }
  return metadata;
}

/** Entries in the order of their bytes must follow each other and fill the file: an aliased tensor would be trained and merged twice. */
function refuseGaps(entries: readonly TensorEntry[], dataBytes: number): void {
  let at = 0;
  for (const { name, begin, end } of entries) {
    if (begin > at) throw new SafetensorsError(`there is a hole of ${begin - at} bytes before ${name}`);
    if (begin < at) throw new SafetensorsError(`${name} overlaps the tensor before it by ${at - begin} bytes`);
    at = end;
  }
  if (at > dataBytes) {
    throw new SafetensorsError(`it is cut short: ${at} bytes of tensors are announced, ${dataBytes} are there`);
  }
  if (at < dataBytes) throw new SafetensorsError(`${dataBytes - at} bytes after the last tensor belong to nothing`);
}

function parseEntry(name: string, value: unknown): TensorEntry {
  if (!isRecord(value)) throw new SafetensorsError(`the entry of ${name} is not an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isStoredDtype(dtype)) {
    throw new SafetensorsError(`${name} has type ${String(dtype)}; known are ${Object.keys(dtypeBits).join(', ')}`);
  }
  if (!isSizes(shape)) throw new SafetensorsError(`the shape of ${name} is not a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2)
    throw new SafetensorsError(`data_offsets of ${name} is not a pair of sizes`);
  const [begin = 0, end = 0] = offsets;
  const needed = (shape.reduce((product, size) => product * size, 1) * dtypeBits[dtype]) / 8;
  if (end - begin !== needed) {
    throw new SafetensorsError(`${name} ${dtype} [${shape.join(', ')}] needs ${needed} bytes but has ${end - begin}`);
  }
  return { name, dtype, shape, begin, end };
}

const isRecord = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);
const isSizes = (x: unknown): x is number[] => Array.isArray(x) && x.every((n) => Number.isSafeInteger(n) && n >= 0);

/** JSON.parse keeps the last of two equal keys silently; the first level of a header must not have any. */
function repeatedKey(text: string): string | undefined {
  const seen = new Set<string>();
  let depth = 0;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (c === '{' || c === '[') depth++;
    else if (c === '}' || c === ']') depth--;
    else if (c === '"') {
      const start = i++;
      for (; i < text.length && text[i] !== '"'; i++) if (text[i] === '\\') i++;
      if (depth !== 1 || !/^\s*:/.test(text.slice(i + 1, i + 20))) continue;
      const key: string = JSON.parse(text.slice(start, i + 1));
      if (seen.has(key)) return key;
      seen.add(key);
    }
  }
  return undefined;
}
