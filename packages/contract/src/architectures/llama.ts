import { AppError } from '../errors.js';
import { linear, type ModelShape, type ModelTensor } from './tensor.js';

/** RoPE frequency scaling of Llama 3.1 and later (`rope_type: llama3`), the one kind besides none that is supported. */
export interface Llama3RopeScaling {
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  originalMaxPositions: number;
}

/** What a Llama-family model computes with, from a Hugging Face `config.json`: its sizes and its constants. */
export interface LlamaConfig extends ModelShape {
  rmsNormEps: number;
  ropeTheta: number;
  ropeScaling: Llama3RopeScaling | null;
}

/** Every weight of a Llama-family model, in Hugging Face order; the seven linear layers of a block in order of computation. */
export function llamaTensors(config: ModelShape): ModelTensor[] {
  const { vocabSize, hiddenSize, tieEmbeddings } = config;
  const blocks = Array.from({ length: config.layers }, (_, layer) => blockTensors(config, `model.layers.${layer}`));
  return [
    { name: 'model.embed_tokens.weight', shape: [vocabSize, hiddenSize] },
    ...blocks.flat(),
    { name: 'model.norm.weight', shape: [hiddenSize] },
    ...(tieEmbeddings ? [] : [{ name: 'lm_head.weight', shape: [vocabSize, hiddenSize] }]),
  ];
}

function blockTensors(
  { hiddenSize, intermediateSize, heads, kvHeads, headDim }: ModelShape,
  path: string,
): ModelTensor[] {
  return [
    { name: `${path}.input_layernorm.weight`, shape: [hiddenSize] },
    linear(`${path}.self_attn.q_proj`, hiddenSize, heads * headDim),
    linear(`${path}.self_attn.k_proj`, hiddenSize, kvHeads * headDim),
    linear(`${path}.self_attn.v_proj`, hiddenSize, kvHeads * headDim),
    linear(`${path}.self_attn.o_proj`, heads * headDim, hiddenSize),
    { name: `${path}.post_attention_layernorm.weight`, shape: [hiddenSize] },
    linear(`${path}.mlp.gate_proj`, hiddenSize, intermediateSize),
    linear(`${path}.mlp.up_proj`, hiddenSize, intermediateSize),
    linear(`${path}.mlp.down_proj`, intermediateSize, hiddenSize),
  ];
}

type Json = Record<string, unknown>;

/**
 * Reads a Hugging Face `config.json` of a Llama-family model. Both spellings of RoPE keys are read: `rope_theta` and `rope_scaling`,
 * and `rope_parameters` of transformers 5.
 * @throws AppError `invalid_base` naming the key when one is missing, malformed or asks for something that is not supported.
 */
export function parseLlamaConfig(input: unknown): LlamaConfig {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new AppError('invalid_base', 'config.json is not a JSON object.', { param: 'config.json' });
  }
  const json = input as Json;
  refuseUnsupported(json);
  const hiddenSize = size(json, 'hidden_size');
  const heads = size(json, 'num_attention_heads');
  const kvHeads = size(json, 'num_key_value_heads', heads);
  const headDim = size(json, 'head_dim', hiddenSize / heads);
  if (heads % kvHeads !== 0) {
    throw unsupported('num_key_value_heads', `${kvHeads} does not divide num_attention_heads ${heads}`);
  }
  if (headDim % 2 !== 0) throw unsupported('head_dim', `${headDim} is odd, rotary embeddings need pairs`);
  const rope = object(json, 'rope_parameters') ?? {};
  return {
    vocabSize: size(json, 'vocab_size'),
    hiddenSize,
    intermediateSize: size(json, 'intermediate_size'),
    layers: size(json, 'num_hidden_layers'),
    heads,
    kvHeads,
    headDim,
    maxPositions: size(json, 'max_position_embeddings', 2048),
    rmsNormEps: positive(json, 'rms_norm_eps', 1e-6),
    ropeTheta: positive(json, 'rope_theta', positive(rope, 'rope_theta', 10_000)),
    ropeScaling: ropeScaling(object(json, 'rope_scaling') ?? rope),
    tieEmbeddings: json.tie_word_embeddings === true,
  };
}

/** Why this `config.json` describes a model that cannot be trained here, as an error; nothing when it can. */
function refuseUnsupported(json: Json): void {
  const type = json.model_type ?? 'llama';
  const architectures = Array.isArray(json.architectures) ? json.architectures : ['LlamaForCausalLM'];
  if (type !== 'llama' || !architectures.includes('LlamaForCausalLM')) {
    throw unsupported('model_type', `${String(type)} (${architectures.join(', ')}) is not LlamaForCausalLM`);
  }
  for (const key of ['attention_bias', 'mlp_bias']) {
    if (json[key] === true) throw unsupported(key, 'linear layers with a bias are not supported');
  }
  const activation = json.hidden_act ?? 'silu';
  if (activation !== 'silu') throw unsupported('hidden_act', `${String(activation)} is not silu`);
  if (json.quantization_config !== undefined && json.quantization_config !== null) {
    throw unsupported('quantization_config', 'quantised weights are not supported');
  }
}

function ropeScaling(rope: Json): Llama3RopeScaling | null {
  const type = rope.rope_type ?? rope.type ?? 'default';
  if (type === 'default') return null;
  if (type !== 'llama3') throw unsupported('rope_scaling', `type ${String(type)} is neither default nor llama3`);
  return {
    factor: positive(rope, 'factor'),
    lowFreqFactor: positive(rope, 'low_freq_factor'),
    highFreqFactor: positive(rope, 'high_freq_factor'),
    originalMaxPositions: size(rope, 'original_max_position_embeddings'),
  };
}

function object(json: Json, key: string): Json | null {
  const value = json[key];
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : null;
}

function positive(json: Json, key: string, missing?: number): number {
  const value = json[key] ?? missing;
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value;
  throw unsupported(key, value === undefined ? 'is missing' : `${JSON.stringify(value)} is not a positive number`);
}

function size(json: Json, key: string, missing?: number): number {
  const value = positive(json, key, missing);
  if (Number.isInteger(value)) return value;
  throw unsupported(key, `${value} is not a whole number`);
}

function unsupported(key: string, problem: string): AppError {
  return new AppError('invalid_base', `config.json: ${key}: ${problem}.`, {
    param: key,
    hint: 'Use a Llama-family model in Hugging Face layout without biases or quantisation.',
  });
}
