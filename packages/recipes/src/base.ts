import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AppError } from '@moraine/contract';
import { type LlamaConfig, parseLlamaConfig, weightShapes } from '@moraine/contract/plan';
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
  config: LlamaConfig;
  weights: Map<string, WeightSlice>;
}

/** Reads one weight as float32. */
export function readWeight({ weights }: Base, name: string): HostTensor {
  const slice = weights.get(name);
  const found = slice && readSafetensors(slice.path, (stored) => stored === slice.storedAs).tensors.get(slice.storedAs);
  if (found === undefined || !(found.data instanceof Float32Array)) throw invalid(`${name} cannot be read`);
  return { shape: found.shape, data: found.data };
}

const INDEX = 'model.safetensors.index.json';

/** Files that hold the weights: the shards of the index, or the one file. */
export function weightFiles(dir: string): string[] {
  const index = join(dir, INDEX);
  if (existsSync(index)) {
    const { weight_map } = readJson(index) as { weight_map?: Record<string, string> };
    if (weight_map === undefined) throw invalid(`${INDEX} has no weight_map`);
    return [...new Set(Object.values(weight_map))].sort().map((name) => {
      if (basename(name) !== name) throw invalid(`${INDEX} names '${name}', which lies outside the folder`);
      if (!existsSync(join(dir, name))) throw invalid(`${INDEX} names ${name}, which is not there`);
      return join(dir, name);
    });
  }
  const single = join(dir, 'model.safetensors');
  if (!existsSync(single)) throw invalid('there is neither model.safetensors nor an index of shards');
  return [single];
}

const FLOATS = ['F32', 'F16', 'BF16', 'F64'];

/**
 * Reads configuration and weight headers of a Hugging Face folder of a Llama-family model. A tied head stored as `lm_head.weight` alone becomes the embedding.
 * @throws AppError `invalid_base` naming the tensor that is missing, has another shape, or is not known.
 */
export function loadBase(dir: string): Base {
  const configFile = join(dir, 'config.json');
  if (!existsSync(configFile)) throw invalid('config.json is missing');
  const config = parseLlamaConfig(readJson(configFile));
  const expected = weightShapes(config);
  const weights = new Map<string, WeightSlice>();
  for (const file of weightFiles(dir)) {
    for (const slice of weightSlices(file)) {
      if (!FLOATS.includes(slice.dtype)) throw invalid(`${slice.storedAs} is not of a floating type`);
      const name = nameInModel(slice.storedAs, config);
      if (name !== slice.storedAs && weights.has(name)) continue;
      weights.set(name, slice);
    }
  }
  for (const [name, shape] of expected) {
    const found = weights.get(name);
    if (found === undefined) throw invalid(`${name} is missing`);
    if (found.shape.join() !== shape.join()) {
      throw invalid(`${name} has shape [${found.shape.join(', ')}], config.json asks for [${shape.join(', ')}]`);
    }
  }
  for (const name of weights.keys())
    if (!expected.has(name)) throw invalid(`${name} is not a tensor of this architecture`);
  return { config, weights };
}

function weightSlices(path: string): WeightSlice[] {
  try {
    const { entries, dataStart } = readSafetensorsHeader(path);
    return entries
      .filter(({ name }) => !isDerived(name))
      .map(({ name, dtype, shape, begin, end }) => ({
        path,
        storedAs: name,
        dtype,
        shape,
        offset: dataStart + begin,
        bytes: end - begin,
      }));
  } catch (cause) {
    if (!(cause instanceof EngineError)) throw cause;
    throw new AppError('invalid_base', cause.message, { hint: cause.hint, cause });
  }
}

/** Buffers that some exporters store although they follow from the configuration. */
const isDerived = (name: string): boolean => name.endsWith('rotary_emb.inv_freq');

/** With a tied head one matrix is both; it may be stored under either name, or under both (then the embedding counts, as in transformers). */
function nameInModel(name: string, config: LlamaConfig): string {
  return name === 'lm_head.weight' && config.tieEmbeddings ? 'model.embed_tokens.weight' : name;
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
