import type { Architecture, Llama3RopeScaling } from './architecture.js';
import type { JsonConfig } from './json-config.js';
import { linear, type ModelShape, type ModelTensor } from './tensor.js';

const EMBEDDING = 'model.embed_tokens.weight';
const HEAD = 'lm_head.weight';

/** Llama 1 to 3 (Touvron et al. 2023, arXiv:2302.13971). Keys, defaults and their order of precedence are those of transformers 5. */
export const llama: Architecture = {
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  embedding: EMBEDDING,
  head: HEAD,
  parse,
  tensors,
};

function parse(config: JsonConfig): ReturnType<Architecture['parse']> {
  refuseUnsupported(config);
  const hiddenSize = config.size('hidden_size');
  const heads = config.size('num_attention_heads');
  if (hiddenSize % heads !== 0) {
    throw config.refuse('hidden_size', `is not a multiple of num_attention_heads ${heads}`);
  }
  const kvHeads = config.size('num_key_value_heads', heads);
  if (heads % kvHeads !== 0) {
    throw config.refuse('num_key_value_heads', `does not divide num_attention_heads ${heads}`);
  }
  const headDim = config.size('head_dim', hiddenSize / heads);
  if (headDim % 2 !== 0)
    throw config.refuse('head_dim', `makes ${headDim}, which is odd; rotary embeddings need pairs`);
  const maxPositions = config.size('max_position_embeddings', 2048);
  return {
    vocabSize: config.size('vocab_size'),
    hiddenSize,
    intermediateSize: config.size('intermediate_size'),
    layers: config.size('num_hidden_layers'),
    heads,
    kvHeads,
    headDim,
    maxPositions,
    rmsNormEps: config.positive('rms_norm_eps', 1e-6),
    ...rotary(config, maxPositions),
    tieEmbeddings: config.flag('tie_word_embeddings', false),
  };
}

/** Refuses what this model does not compute, so that nothing in a config.json is ignored that transformers would compute with. */
function refuseUnsupported(config: JsonConfig): void {
  const bias = 'asks for linear layers with a bias, which are not supported';
  config.refuseUnless('attention_bias', [false], bias);
  config.refuseUnless('mlp_bias', [false], bias);
  config.refuseUnless('hidden_act', ['silu', 'swish'], 'is not silu');
  config.refuseUnless('attention_dropout', [0], 'asks for dropout of attention weights; only 0 is supported');
  config.refuseUnless('quantization_config', [], 'asks for quantised weights, which are not supported');
}

/**
 * Rotary constants as transformers 5 reads them: `rope_scaling` counts before `rope_parameters`, and a theta inside of it before the one
 * at the top of config.json. The original context of a scaling is read inside of it alone.
 */
function rotary(config: JsonConfig, maxPositions: number) {
  const rope = config.object('rope_scaling') ?? config.object('rope_parameters');
  rope?.refuseObjects('asks for rotary constants that differ between layers, which are not supported');
  for (const place of [config, rope]) {
    place?.refuseUnless('partial_rotary_factor', [1], 'asks for partial rotary embeddings, which are not supported');
  }
  const ropeTheta = (rope?.has('rope_theta') ? rope : config).positive('rope_theta', 10_000);
  return { ropeTheta, ropeScaling: rope ? ropeScaling(rope, maxPositions) : null };
}

function ropeScaling(rope: JsonConfig, maxPositions: number): Llama3RopeScaling | null {
  const key = rope.has('rope_type') ? 'rope_type' : 'type';
  const type = rope.text(key) ?? 'default';
  if (type === 'default') return null;
  if (type !== 'llama3') throw rope.refuse(key, 'is neither default nor llama3, the supported kinds');
  return {
    factor: rope.positive('factor'),
    lowFreqFactor: rope.positive('low_freq_factor'),
    highFreqFactor: rope.positive('high_freq_factor'),
    originalMaxPositions: rope.size('original_max_position_embeddings', maxPositions),
  };
}

function tensors(config: ModelShape): ModelTensor[] {
  const { vocabSize, hiddenSize, tieEmbeddings } = config;
  const blocks = Array.from({ length: config.layers }, (_, layer) => blockTensors(config, `model.layers.${layer}`));
  return [
    { name: EMBEDDING, shape: [vocabSize, hiddenSize] },
    ...blocks.flat(),
    { name: 'model.norm.weight', shape: [hiddenSize] },
    ...(tieEmbeddings ? [] : [{ name: HEAD, shape: [vocabSize, hiddenSize] }]),
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
