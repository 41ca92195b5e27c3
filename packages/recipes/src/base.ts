import { existsSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { AppError } from '@moraine/contract';
import { type LlamaConfig, parseLlamaConfig } from '@moraine/contract/plan';
import { EngineError, readSafetensors, type SafetensorsTensor, type TensorDtype } from '@moraine/engine';
import { type HostTensor, weightShapes } from '@moraine/lm';

/** A base model on the host: its configuration and every weight as float32, by Hugging Face name. */
export interface Base {
  config: LlamaConfig;
  weights: Map<string, HostTensor>;
  /** The type that the folder stores each weight in, by the same names; a merged model is written in it again. */
  dtypes: Map<string, TensorDtype>;
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

/**
 * Reads a Hugging Face folder of a Llama-family model. A tied head stored as `lm_head.weight` alone becomes the embedding.
 * @throws AppError `invalid_base` naming the tensor that is missing, has another shape, or is not known.
 */
export function loadBase(dir: string): Base {
  const configFile = join(dir, 'config.json');
  if (!existsSync(configFile)) throw invalid('config.json is missing');
  const config = parseLlamaConfig(readJson(configFile));
  const expected = weightShapes(config);
  const weights = new Map<string, HostTensor>();
  const dtypes = new Map<string, TensorDtype>();
  for (const file of weightFiles(dir)) {
    for (const [stored, { shape, data, dtype }] of readWeights(file)) {
      if (!(data instanceof Float32Array)) throw invalid(`${stored} is not of a floating type`);
      const name = nameInModel(stored, config);
      if (name !== stored && weights.has(name)) continue;
      weights.set(name, { shape, data });
      dtypes.set(name, dtype);
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
  return { config, weights, dtypes };
}

function readWeights(file: string): Map<string, SafetensorsTensor> {
  try {
    return readSafetensors(file, (name) => !isDerived(name)).tensors;
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
