import {
  architectureOf,
  CHECKED_BYTES,
  checkFolder,
  type ModelConfig,
  refuseNonFinite,
  type StoredWeight,
  weightFiles,
} from '@moraine/contract/plan';
import { SafetensorsError, type SafetensorsHeader } from '@moraine/contract/safetensors';
import { readHeader } from './safetensors-header.js';

/** The files of a base, wherever they are. */
export interface BaseFiles {
  names: readonly string[];
  /** The parsed index; undefined when there is none. */
  index: unknown;
  sizeOf: (file: string) => number;
  /** Reads bytes `[start, end]` of a file, both included. */
  read: (file: string, start: number, end: number) => Promise<Buffer>;
}

/**
 * Reads the headers of the weights and all their numbers, and holds them against config.json as training will, one file at a time.
 * Returns the configuration as the weights have it.
 * @throws AppError `invalid_base` naming the file or the tensor
 */
export async function checkWeights(files: BaseFiles, asked: ModelConfig): Promise<ModelConfig> {
  const headers = new Map<string, SafetensorsHeader | SafetensorsError>();
  for (const file of weightFiles(files.names, files.index)) {
    headers.set(file, await readHeader(files.sizeOf(file), (start, end) => files.read(file, start, end)));
  }
  const isHeadTheEmbedding = await compareTied(files, headers, asked);
  const { config, weights } = checkFolder(files.names, asked, {
    json: () => files.index,
    header: (file) => {
      const header = headers.get(file);
      if (header === undefined || header instanceof SafetensorsError) throw header ?? new SafetensorsError('not read');
      return header;
    },
    isSame: () => isHeadTheEmbedding,
  });
  for (const [name, weight] of weights) {
    let from = 0;
    for await (const piece of piecesOf(files, weight)) {
      refuseNonFinite({ ...weight, name }, piece, from);
      from += piece.length;
    }
  }
  return config;
}

/** Whether head and embedding hold the same bytes, where config.json ties them and both are stored. */
async function compareTied(
  files: BaseFiles,
  headers: ReadonlyMap<string, SafetensorsHeader | SafetensorsError>,
  asked: ModelConfig,
): Promise<boolean> {
  const { embedding, head } = architectureOf(asked);
  const [a, b] = [findWeight(headers, embedding), findWeight(headers, head)];
  if (!asked.tieEmbeddings || !a || !b) return true;
  if (a.dtype !== b.dtype || a.end - a.begin !== b.end - b.begin) return false;
  const others = piecesOf(files, b);
  for await (const piece of piecesOf(files, a)) {
    const other = await others.next();
    if (other.done || Buffer.compare(piece, other.value) !== 0) return false;
  }
  return true;
}

function findWeight(
  headers: ReadonlyMap<string, SafetensorsHeader | SafetensorsError>,
  name: string,
): StoredWeight | undefined {
  for (const [file, header] of headers) {
    if (header instanceof SafetensorsError) continue;
    const entry = header.entries.find((one) => one.name === name);
    if (entry) return { ...entry, file, begin: header.dataStart + entry.begin, end: header.dataStart + entry.end };
  }
  return undefined;
}

/** The bytes of a weight, `CHECKED_BYTES` at a time. */
async function* piecesOf(files: BaseFiles, { file, begin, end }: StoredWeight): AsyncGenerator<Buffer, void> {
  for (let at = begin; at < end; at += CHECKED_BYTES) {
    yield await files.read(file, at, Math.min(at + CHECKED_BYTES, end) - 1);
  }
}
