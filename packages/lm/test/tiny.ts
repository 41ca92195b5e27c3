import type { Batch } from '@moraine/contract';
import { parseModelConfig } from '@moraine/contract/plan';
import type { Tensor } from '@moraine/engine';
import { type HostTensor, initialWeights, type ModelConfig, toDevice } from '../src/index.js';

/** A model small enough for exact arithmetic in tests: grouped-query attention, tied head. */
export const tinyConfig: ModelConfig = parseModelConfig({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 40,
  hidden_size: 32,
  intermediate_size: 44,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
});

/** The same with all that other families do otherwise; the last layer has another kind of attention than the first. */
const widths = {
  vocab_size: 40,
  hidden_size: 32,
  intermediate_size: 44,
  num_hidden_layers: 2,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};
const context = { max_position_embeddings: 64, sliding_window: 5 };

export const gemmaConfig: ModelConfig = parseModelConfig({
  ...widths,
  ...context,
  model_type: 'gemma3_text',
  head_dim: 8,
  query_pre_attn_scalar: 12,
  sliding_window_pattern: 2,
  attention_bias: true,
});

export const smolConfig: ModelConfig = parseModelConfig({
  ...widths,
  ...context,
  model_type: 'smollm3',
  no_rope_layers: [1, 0],
  use_sliding_window: true,
  mlp_bias: true,
});

export const olmoConfig: ModelConfig = parseModelConfig({ ...widths, ...context, model_type: 'olmo2' });

/** One matrix for queries, keys and values, half of each head rotated by LongRoPE. */
export const phiConfig: ModelConfig = parseModelConfig({
  ...widths,
  ...context,
  model_type: 'phi3',
  partial_rotary_factor: 0.5,
  original_max_position_embeddings: 2048,
  rope_scaling: { rope_type: 'longrope', short_factor: [1.5, 3], attention_factor: 1.2 },
});

export function hostWeights(config: ModelConfig = tinyConfig, seed = 7): Map<string, HostTensor> {
  return initialWeights(config, { seed, std: 0.2 });
}

export function tinyWeights(config: ModelConfig = tinyConfig, seed = 7): Map<string, Tensor> {
  return new Map([...hostWeights(config, seed)].map(([name, value]) => [name, toDevice(value)]));
}

/** Rows of given ids, all learned, padded with unscored zeros; every row is one document unless segments are given. */
export function batchOf(rows: readonly (readonly number[])[], segments?: readonly (readonly number[])[]): Batch {
  const time = Math.max(...rows.map((row) => row.length));
  const flat = (values: readonly (readonly number[])[], pad: number) =>
    Int32Array.from(values.flatMap((row) => Array.from({ length: time }, (_, t) => row[t] ?? pad)));
  const documents = segments ?? rows.map((row) => row.map(() => 0));
  return {
    batch: rows.length,
    time,
    ids: flat(rows, 0),
    labels: flat(rows, -100),
    segments: flat(documents, -1),
    positions: Int32Array.from({ length: rows.length * time }, (_, i) => i % time),
  };
}

/** Reproducible ids in [1, 40). */
export function idsOf(seed: number, count: number): number[] {
  let state = seed * 2654435761;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0;
    return 1 + ((state >>> 8) % 39);
  });
}

/** The shape of the demo's base model. */
export const demoConfig: ModelConfig = parseModelConfig({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 1024,
  hidden_size: 128,
  intermediate_size: 344,
  num_hidden_layers: 5,
  num_attention_heads: 4,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
});
