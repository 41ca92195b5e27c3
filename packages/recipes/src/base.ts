import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppError } from '@moraine/contract';
import { type LlamaConfig, parseLlamaConfig } from '@moraine/contract/plan';
import { readSafetensors, readSafetensorsHeader, type TensorDtype } from '@moraine/engine';
import { type HostTensor, weightShapes } from '@moraine/lm';

/** A base model on the host: its configuration and every weight as float32, by Hugging Face name. */
export interface Base {
  config: LlamaConfig;
  /** config.json as it lies in the folder. */
  configJson: Record<string, unknown>;
  weights: Map<string, HostTensor>;
  /** The type that the folder stores its matrices in; a merged model is written in it again. */
  dtype: TensorDtype;
}

const INDEX = 'model.safetensors.index.json';

/** Files that hold the weights: the shards of the index, or the one file. */
export function weightFiles(dir: string): string[] {
  const index = join(dir, INDEX);
  if (existsSync(index)) {
    const { weight_map } = readJson(index) as { weight_map?: Record<string, string> };
    if (weight_map === undefined) throw invalid(`${INDEX} has no weight_map`);
    return [...new Set(Object.values(weight_map))].sort().map((name) => join(dir, name));
  }
  const single = join(dir, 'model.safetensors');
  if (!existsSync(single)) throw invalid('there is neither model.safetensors nor an index of shards');
  return [single];
}

/**
 * Reads a Hugging Face folder of a Llama-family model. A tied head stored as `lm_head.weight` alone becomes the embedding.
 * @throws AppError `invalid_base` naming the tensor that is missing, has another shape, or is not known.
 */
export function loadBase(dir: string): Base {
  const configFile = join(dir, 'config.json');
  if (!existsSync(configFile)) throw invalid('config.json is missing');
  const configJson = readJson(configFile) as Record<string, unknown>;
  const config = parseLlamaConfig(configJson);
  const expected = weightShapes(config);
  const weights = new Map<string, HostTensor>();
  let dtype: TensorDtype = 'F32';
  for (const file of weightFiles(dir)) {
    const stored = readSafetensorsHeader(file).entries.find(({ shape }) => shape.length === 2);
    if (stored) dtype = stored.dtype;
    for (const [name, { shape, data }] of readSafetensors(file, (tensor) => !isDerived(tensor)).tensors) {
      if (!(data instanceof Float32Array)) throw invalid(`${name} is not of a floating type`);
      weights.set(nameInModel(name, config), { shape, data });
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
  return { config, configJson, weights, dtype };
}

/** Buffers that some exporters store although they follow from the configuration. */
const isDerived = (name: string): boolean => name.endsWith('rotary_emb.inv_freq');

/** With a tied head one matrix is both; it may be stored under either name, or under both. */
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
