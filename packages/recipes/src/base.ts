import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { checkFolder, type ModelConfig, parseModelConfig, type StoredWeight } from '@moraine/contract/plan';
import type { SafetensorsHeader } from '@moraine/contract/safetensors';
import { EngineError, readSafetensors, readSafetensorsHeader } from '@moraine/engine';
import type { HostTensor } from '@moraine/lm';
import { hasSameBytes, type WeightSlice } from './weight-bytes.js';

/** A base model on disk: its configuration and the place of every weight, by Hugging Face name. No weight is read. */
export interface Base {
  config: ModelConfig;
  weights: Map<string, WeightSlice>;
  /** What a user should know of how the folder is read. */
  notes: string[];
}

/** Reads one weight as float32. */
export function readWeight({ weights }: Base, name: string): HostTensor {
  const slice = weights.get(name);
  const found = slice && readSafetensors(slice.path, (stored) => stored === slice.storedAs).tensors.get(slice.storedAs);
  if (found === undefined || !(found.data instanceof Float32Array)) throw invalid(`${name} cannot be read`);
  return { shape: found.shape, data: found.data };
}

/** The configuration in a Hugging Face folder. @throws AppError `invalid_base`. */
export function readBaseConfig(dir: string): ModelConfig {
  const file = join(dir, 'config.json');
  if (existsSync(file)) return parseModelConfig(readJson(file));
  throw new AppError('invalid_base', `${dir} holds no config.json.`, {
    hint: 'Name a Hugging Face folder: config.json, safetensors weights, tokenizer.json.',
  });
}

/**
 * Reads configuration and weight headers of a Hugging Face folder; no weight is read.
 * @throws AppError `invalid_base` naming the tensor that is missing, has another shape, or is not known.
 */
export function loadBase(dir: string): Base {
  const asked = readBaseConfig(dir);
  const { config, weights } = checkFolder(readdirSync(dir), asked, {
    json: (file) => readJson(join(dir, file)),
    sizeOf: (file) => statSync(join(dir, file)).size,
    header: (file, bytesMax) => readHeader(join(dir, file), bytesMax),
    isSame: (a, b) => hasSameBytes(sliceOf(dir, a), sliceOf(dir, b)),
  });
  const notes =
    config.tieEmbeddings === asked.tieEmbeddings
      ? []
      : [
          'The head differs from the embedding though config.json ties them (tie_word_embeddings): both are used as stored.',
        ];
  return { config, weights: new Map([...weights].map(([name, stored]) => [name, sliceOf(dir, stored)])), notes };
}

const sliceOf = (dir: string, { file, name: storedAs, dtype, shape, begin, end }: StoredWeight): WeightSlice => ({
  path: join(dir, file),
  storedAs,
  dtype,
  shape,
  offset: begin,
  bytes: end - begin,
});

function readHeader(path: string, bytesMax: number): SafetensorsHeader {
  try {
    return readSafetensorsHeader(path, bytesMax);
  } catch (cause) {
    if (!(cause instanceof EngineError)) throw cause;
    throw new AppError('invalid_base', cause.message, { hint: cause.hint, cause });
  }
}

function readJson(file: string): unknown {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (cause) {
    throw new AppError('invalid_base', `${file} is not JSON.`, { hint: 'Fetch the file again.', cause });
  }
}

function invalid(problem: string): AppError {
  return new AppError('invalid_base', `The base model cannot be loaded: ${problem}.`, {
    hint: 'Register a complete Hugging Face folder: config.json, safetensors weights, tokenizer.json.',
  });
}
