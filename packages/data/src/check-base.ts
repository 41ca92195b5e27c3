import {
  architectureOf,
  CHECKED_BYTES,
  type CheckedFolder,
  checkFolder,
  INDEX_FILE,
  type ModelConfig,
  parseModelConfig,
  refuseNonFinite,
  type StoredWeight,
  totalParameters,
} from '@moraine/contract/plan';
import { loadBaseTokenizer } from './check-tokenizer.js';
import { type StoredFile, StoredFolder } from './stored-folder.js';
import { TOKENIZER_FILES } from './tokenizer-files.js';

/** A base that runs can be trained on. */
export interface CheckedBase {
  /** config.json as it was sent. */
  config: Record<string, unknown>;
  /** As the weights have it. */
  tieEmbeddings: boolean;
  parameters: number;
  /** Longest context in tokens. */
  context: number;
}

/** Of config.json and the other small files; those of the largest models have 20 KB. */
const CONFIG_BYTES_MAX = 2 ** 20;
/** For each token or tensor that config.json tells of. Vocabularies of today take 70 to 130 bytes a token, indexes 90 a tensor. */
const ENTRY_BYTES_MAX = 1_024;
const TEXT_BYTES_MAX = 64 * 2 ** 20;

/**
 * Holds the files of a base against each other as training will: config.json, the sizes of all files, tokenizer and chat template, then each
 * tensor's name, type, shape and numbers, one file at a time. Nothing is built from a number that was not bounded before.
 * @throws AppError `invalid_base` naming the file, the key or the tensor.
 */
export async function checkBase(files: readonly StoredFile[]): Promise<CheckedBase> {
  const folder = new StoredFolder(files, 'invalid_base');
  const config = folder.json('config.json', CONFIG_BYTES_MAX);
  const asked = parseModelConfig(config);
  folder.sizeOf('tokenizer.json');
  const { config: model, weights } = checkHeaders(folder, asked);
  const bytesMax = Math.min(TEXT_BYTES_MAX, CONFIG_BYTES_MAX + ENTRY_BYTES_MAX * asked.vocabSize);
  await loadBaseTokenizer(async (name) => folder.text(name, bytesMax), asked.vocabSize);
  checkNumbers(folder, weights);
  return {
    config: config as Record<string, unknown>,
    tieEmbeddings: model.tieEmbeddings,
    parameters: totalParameters(model),
    context: model.maxPositions,
  };
}

function checkHeaders(folder: StoredFolder, asked: ModelConfig): CheckedFolder<ModelConfig> {
  const tensors = architectureOf(asked).tensors(asked).length;
  return checkFolder(folder.names, asked, {
    json: () => folder.json(INDEX_FILE, CONFIG_BYTES_MAX + ENTRY_BYTES_MAX * tensors),
    sizeOf: folder.sizeOf,
    header: (file, bytesMax) => folder.header(file, bytesMax),
    isSame: (a, b) => hasSameBytes(folder, a, b),
  });
}

function checkNumbers(folder: StoredFolder, weights: CheckedFolder<ModelConfig>['weights']): void {
  for (const [name, weight] of weights) {
    let from = 0;
    for (const piece of piecesOf(folder, weight)) {
      refuseNonFinite({ ...weight, name }, piece, from);
      from += piece.length;
    }
  }
}

function hasSameBytes(folder: StoredFolder, a: StoredWeight, b: StoredWeight): boolean {
  if (a.dtype !== b.dtype || a.end - a.begin !== b.end - b.begin) return false;
  const others = piecesOf(folder, b);
  for (const piece of piecesOf(folder, a)) {
    const other = others.next();
    if (other.done || Buffer.compare(piece, other.value) !== 0) return false;
  }
  return true;
}

const piecesOf = (folder: StoredFolder, { file, begin, end }: StoredWeight) =>
  folder.pieces(file, begin, end, CHECKED_BYTES);

/** Bytes of the files whose texts are loaded as a whole. */
export const textBytesOf = (files: readonly StoredFile[]): number =>
  files.reduce((sum, { name, sizeBytes }) => sum + (isText(name) ? sizeBytes : 0), 0);

const isText = (name: string): boolean => TOKENIZER_FILES.some((one) => one === name);
