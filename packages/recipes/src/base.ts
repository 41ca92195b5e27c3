import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { checkFolder, type ModelConfig, parseModelConfig } from '@moraine/contract/plan';
import type { SafetensorsHeader } from '@moraine/contract/safetensors';
import { EngineError, type FileSlice, readSafetensors, readSafetensorsHeader } from '@moraine/engine';
import type { HostTensor } from '@moraine/lm';

/** Where a weight lies: its file, its name there, its bytes. */
export interface WeightSlice extends FileSlice {
  shape: number[];
  /** The name in the file, which for a tied head may not be the model's. */
  storedAs: string;
}

/** A base model on disk: its configuration and the place of every weight, by Hugging Face name. No weight is read. */
export interface Base {
  config: ModelConfig;
  weights: Map<string, WeightSlice>;
}

/** Reads one weight as float32. */
export function readWeight({ weights }: Base, name: string): HostTensor {
  const slice = weights.get(name);
  const found = slice && readSafetensors(slice.path, (stored) => stored === slice.storedAs).tensors.get(slice.storedAs);
  if (found === undefined || !(found.data instanceof Float32Array)) throw invalid(`${name} cannot be read`);
  return { shape: found.shape, data: found.data };
}

/**
 * Reads configuration and weight headers of a Hugging Face folder; no weight is read.
 * @throws AppError `invalid_base` naming the tensor that is missing, has another shape, or is not known.
 */
export function loadBase(dir: string): Base {
  const configFile = join(dir, 'config.json');
  if (!existsSync(configFile)) throw invalid('config.json is missing');
  const config = parseModelConfig(readJson(configFile));
  const stored = checkFolder(readdirSync(dir), config, {
    json: (file) => readJson(join(dir, file)),
    header: (file) => readHeader(join(dir, file)),
  });
  const weights = [...stored].map(
    ([name, { file, name: storedAs, dtype, shape, begin, end }]): [string, WeightSlice] => [
      name,
      { path: join(dir, file), storedAs, dtype, shape, offset: begin, bytes: end - begin },
    ],
  );
  return { config, weights: new Map(weights) };
}

function readHeader(path: string): SafetensorsHeader {
  try {
    return readSafetensorsHeader(path);
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
