import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { parseModelConfig } from '@moraine/contract/plan';
import { writeSafetensors } from '@moraine/engine';
import { initialWeights } from '@moraine/lm';

const fixtures = resolve(import.meta.dirname, '../tokenizers/fixtures');

const SIZES = {
  hidden_size: 64,
  intermediate_size: 128,
  num_hidden_layers: 8,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  max_position_embeddings: 512,
  rms_norm_eps: 1e-6,
  vocab_size: 576,
};
const llama3 = {
  rope_type: 'llama3',
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 64,
};

/** Random bases of each family, with tokenizers in the forms of the models that people use. */
export const RANDOM_MODELS: Record<
  string,
  { tokenizer: string; config: Record<string, unknown>; lacksBytes?: boolean }
> = {
  'llama, SentencePiece': {
    tokenizer: 'mistral-sentencepiece',
    config: { model_type: 'llama', architectures: ['LlamaForCausalLM'], tie_word_embeddings: false },
  },
  'llama, SentencePiece without bytes': {
    tokenizer: 'mistral-sentencepiece',
    config: { model_type: 'llama', architectures: ['LlamaForCausalLM'], tie_word_embeddings: false },
    lacksBytes: true,
  },
  'llama 3 with biases': {
    tokenizer: 'llama3',
    config: {
      model_type: 'llama',
      architectures: ['LlamaForCausalLM'],
      attention_bias: true,
      rope_theta: 500_000,
      rope_scaling: llama3,
      tie_word_embeddings: true,
    },
  },
  'mistral, Metaspace, linear scaling': {
    tokenizer: 'mistral-metaspace',
    config: {
      model_type: 'mistral',
      architectures: ['MistralForCausalLM'],
      sliding_window: null,
      rope_scaling: { rope_type: 'linear', factor: 2 },
      head_dim: 32,
    },
  },
  qwen2: {
    tokenizer: 'qwen2',
    config: {
      model_type: 'qwen2',
      architectures: ['Qwen2ForCausalLM'],
      rope_theta: 1_000_000,
      tie_word_embeddings: true,
    },
  },
  qwen3: {
    tokenizer: 'qwen2',
    config: { model_type: 'qwen3', architectures: ['Qwen3ForCausalLM'], head_dim: 32, tie_word_embeddings: true },
  },
  'olmo 2': {
    tokenizer: 'olmo2',
    config: { model_type: 'olmo2', architectures: ['Olmo2ForCausalLM'], rope_theta: 500_000 },
  },
  smollm3: {
    tokenizer: 'smollm3',
    config: { model_type: 'smollm3', architectures: ['SmolLM3ForCausalLM'], tie_word_embeddings: true },
  },
  'phi 3': {
    tokenizer: 'mistral-sentencepiece',
    config: {
      model_type: 'phi3',
      architectures: ['Phi3ForCausalLM'],
      partial_rotary_factor: 0.5,
      tie_word_embeddings: false,
    },
  },
  'gemma 3': {
    tokenizer: 'gemma3',
    config: {
      model_type: 'gemma3_text',
      architectures: ['Gemma3ForCausalLM'],
      head_dim: 32,
      query_pre_attn_scalar: 32,
      sliding_window: 16,
    },
  },
};

/** Writes such a base. Its numbers are float16's, so that nothing is lost in the file. */
export function writeRandomModel(dir: string, name: string): void {
  const { tokenizer, config, lacksBytes } = RANDOM_MODELS[name] ?? { tokenizer: '', config: {} };
  const json = { ...SIZES, ...config };
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'config.json'), JSON.stringify(json));
  const shape = JSON.parse(readFileSync(join(fixtures, `${tokenizer}.json`), 'utf8'));
  if (lacksBytes)
    for (const word of Object.keys(shape.model.vocab)) if (word.startsWith('<0x')) delete shape.model.vocab[word];
  // Runs of spaces are tokens of the vocabulary in Gemma itself.
  const known = shape.added_tokens.filter(
    ({ id, content }: { id: number; content: string }) => !content.includes('▁') || shape.model.vocab[content] === id,
  );
  writeFileSync(join(dir, 'tokenizer.json'), JSON.stringify({ ...shape, added_tokens: known }));
  const weights = [...initialWeights(parseModelConfig(json), { seed: 5, std: 0.25 })].map(([key, { shape, data }]) => {
    // Norms and biases, which start at one number, get numbers of their own.
    const own = shape.length === 1 ? data.map((value, i) => value + 0.2 * Math.sin(12.9898 * (i + 1))) : data;
    return [key, { shape, dtype: 'F16' as const, data: own }] as const;
  });
  writeSafetensors(join(dir, 'model.safetensors'), new Map(weights));
}
