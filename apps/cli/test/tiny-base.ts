import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { inRepo } from '../src/paths.js';

const [VOCAB, WIDTH, INNER] = [1024, 16, 32];

/** A Llama model of one layer with small weights that learns nothing in particular: enough for a run to have something to do. */
export function writeTinyBase(dir: string): void {
  const config = {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: VOCAB,
    hidden_size: WIDTH,
    intermediate_size: INNER,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 2,
    max_position_embeddings: 256,
    rms_norm_eps: 1e-5,
    hidden_act: 'silu',
    tie_word_embeddings: true,
  };
  const layer = 'model.layers.0';
  const shapes: [string, number[]][] = [
    ['model.embed_tokens.weight', [VOCAB, WIDTH]],
    ['model.norm.weight', [WIDTH]],
    [`${layer}.input_layernorm.weight`, [WIDTH]],
    [`${layer}.post_attention_layernorm.weight`, [WIDTH]],
    ...['q_proj', 'k_proj', 'v_proj', 'o_proj'].map((name): [string, number[]] => [
      `${layer}.self_attn.${name}.weight`,
      [WIDTH, WIDTH],
    ]),
    ...['gate_proj', 'up_proj'].map((name): [string, number[]] => [`${layer}.mlp.${name}.weight`, [INNER, WIDTH]]),
    [`${layer}.mlp.down_proj.weight`, [WIDTH, INNER]],
  ];
  mkdirSync(dir, { recursive: true });
  writeFileSync(path.join(dir, 'config.json'), JSON.stringify(config));
  writeFileSync(path.join(dir, 'model.safetensors'), smallNumbers(shapes));
  for (const file of ['tokenizer.json', 'tokenizer_config.json'])
    copyFileSync(inRepo('examples', 'base', file), path.join(dir, file));
}

/** A folder in PEFT's layout with a LoRA of rank 2 on one layer of such a base. */
export function writeTinyAdapter(dir: string, config: Record<string, unknown>): void {
  const layer = 'base_model.model.model.layers.0.self_attn.q_proj';
  mkdirSync(dir, { recursive: true });
  writeFileSync(path.join(dir, 'adapter_config.json'), JSON.stringify(config));
  const shapes: [string, number[]][] = [
    [`${layer}.lora_A.weight`, [2, WIDTH]],
    [`${layer}.lora_B.weight`, [WIDTH, 2]],
  ];
  writeFileSync(path.join(dir, 'adapter_model.safetensors'), smallNumbers(shapes));
}

/** The bytes of a safetensors file with tensors of these shapes. */
function smallNumbers(shapes: readonly [string, number[]][]): Buffer {
  let end = 0;
  const header: Record<string, unknown> = {};
  for (const [name, shape] of shapes) {
    const begin = end;
    end += 4 * shape.reduce((product, side) => product * side, 1);
    header[name] = { dtype: 'F32', shape, data_offsets: [begin, end] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  // Any small numbers do; they repeat, but not with the width of a matrix.
  const weights = Float32Array.from({ length: end / 4 }, (_, i) => Math.sin(i * 12.9898) / 8);
  return Buffer.concat([length, text, Buffer.from(weights.buffer)]);
}
