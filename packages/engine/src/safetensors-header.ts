import { dtypeBytes, isDtype, type TensorDtype } from './dtype.js';
import { EngineError } from './error.js';

export interface TensorEntry {
  name: string;
  dtype: TensorDtype;
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

export function invalid(file: string, what: string, cause?: unknown): EngineError {
  return new EngineError(
    'safetensors_invalid',
    `${file} is not a valid safetensors file: ${what}.`,
    'Fetch or export the file again; if it was copied, compare its size and sha256 with the original.',
    { cause },
  );
}

/**
 * Checks a header as strictly as the format is defined: known types, sizes that agree with the shapes, bytes without hole or overlap,
 * no repeated name, and exactly `fileBytes` in all.
 */
export function parseHeader(file: string, text: string, dataStart: number, fileBytes: number): SafetensorsHeader {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (cause) {
    throw invalid(file, 'its header is not JSON', cause);
  }
  if (!isRecord(parsed) || !text.startsWith('{')) throw invalid(file, 'its header is not a JSON object');
  const repeated = repeatedKey(text);
  if (repeated !== undefined) throw invalid(file, `the name ${JSON.stringify(repeated)} appears twice in its header`);

  const { __metadata__: rawMetadata, ...tensors } = parsed;
  const metadata: Record<string, string> = {};
  if (rawMetadata !== undefined) {
    if (!isRecord(rawMetadata)) throw invalid(file, '__metadata__ is not an object');
    for (const [key, value] of Object.entries(rawMetadata)) {
      if (typeof value !== 'string') throw invalid(file, `__metadata__.${key} is not a string`);
      metadata[key] = value;
    }
  }

  const entries = Object.entries(tensors).map(([name, value]) => parseEntry(file, name, value));
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = 0;
  for (const { name, begin, end } of entries) {
    if (begin > at) throw invalid(file, `there is a hole of ${begin - at} bytes before ${name}`);
    if (begin < at) throw invalid(file, `${name} overlaps the tensor before it by ${at - begin} bytes`);
    at = end;
  }
  const dataBytes = fileBytes - dataStart;
  if (at > dataBytes)
    throw invalid(file, `it is cut short: ${at} bytes of tensors are announced, ${dataBytes} are there`);
  if (at < dataBytes) throw invalid(file, `${dataBytes - at} bytes after the last tensor belong to nothing`);
  return { metadata, entries, dataStart };
}

function parseEntry(file: string, name: string, value: unknown): TensorEntry {
  if (!isRecord(value)) throw invalid(file, `the entry of ${name} is not an object`);
  const { dtype, shape, data_offsets: offsets } = value;
  if (!isDtype(dtype)) {
    throw invalid(file, `${name} has type ${String(dtype)}; known are ${Object.keys(dtypeBytes).join(', ')}`);
  }
  if (!isSizes(shape)) throw invalid(file, `the shape of ${name} is not a list of sizes`);
  if (!isSizes(offsets) || offsets.length !== 2) throw invalid(file, `data_offsets of ${name} is not a pair of sizes`);
  const [begin = 0, end = 0] = offsets;
  const needed = shape.reduce((product, size) => product * size, 1) * dtypeBytes[dtype];
  if (end - begin !== needed) {
    throw invalid(file, `${name} ${dtype} [${shape.join(', ')}] needs ${needed} bytes but has ${end - begin}`);
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
