import { closeSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from '@moraine/contract/make-folder';
import { parseModelConfig, weightShapes } from '@moraine/contract/plan';

/**
 * Shapes to measure with, named by their parameters: [hidden, intermediate, layers, heads, vocabulary]. As many key heads as heads, the
 * head is the embedding.
 */
export const BENCH_SHAPES = {
  '260k': [64, 172, 5, 8, 512],
  '15m': [288, 768, 6, 6, 32_000],
  '42m': [512, 1376, 8, 8, 32_000],
  '135m': [576, 1536, 30, 9, 49_152],
  '1b': [2048, 5632, 22, 32, 32_000],
} as const;
export type BenchShape = keyof typeof BENCH_SHAPES;

/** Standard deviation of matrices, which is transformers' `initializer_range`; norms are 1. */
const STD = 0.02;
const CHUNK = 2 ** 22;

/** The config.json of a shape. */
export function benchConfig(shape: BenchShape): Record<string, unknown> {
  const [hiddenSize, intermediateSize, layers, heads, vocabSize] = BENCH_SHAPES[shape];
  return {
    architectures: ['LlamaForCausalLM'],
    model_type: 'llama',
    vocab_size: vocabSize,
    hidden_size: hiddenSize,
    intermediate_size: intermediateSize,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    max_position_embeddings: 2048,
    hidden_act: 'silu',
    rms_norm_eps: 1e-6,
    rope_theta: 10_000,
    tie_word_embeddings: true,
    bos_token_id: null,
    eos_token_id: null,
    torch_dtype: 'float32',
  };
}

/**
 * Writes a Hugging Face folder of the shape with random weights (config.json and model.safetensors, no tokenizer), in pieces, so that a
 * model larger than the memory can be written. Uniform numbers of standard deviation 0.02; the same seed gives the same bytes.
 */
export function writeRandomBase(dir: string, shape: BenchShape, seed: number): void {
  const config = benchConfig(shape);
  makeFolder(dir);
  writeFileSync(join(dir, 'config.json'), `${JSON.stringify(config, null, 2)}\n`);

  const shapes = [...weightShapes(parseModelConfig(config))];
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } };
  let end = 0;
  for (const [name, sides] of shapes) {
    const begin = end;
    end += 4 * count(sides);
    header[name] = { dtype: 'F32', shape: sides, data_offsets: [begin, end] };
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Buffer.alloc(Math.ceil(text.length / 8) * 8, ' ');
  text.copy(padded);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(padded.length));

  const fd = openSync(join(dir, 'model.safetensors'), 'w');
  try {
    writeSync(fd, length);
    writeSync(fd, padded);
    const values = new Float32Array(CHUNK);
    let state = (seed | 0) ^ 0x2545f491 || 1;
    for (const [, sides] of shapes) {
      for (let left = count(sides); left > 0; ) {
        const piece = values.subarray(0, Math.min(CHUNK, left));
        if (sides.length === 1) piece.fill(1);
        else state = fillUniform(piece, state);
        const bytes = new Uint8Array(piece.buffer, 0, piece.byteLength);
        for (let done = 0; done < bytes.length; ) done += writeSync(fd, bytes, done);
        left -= piece.length;
      }
    }
  } finally {
    closeSync(fd);
  }
}

const count = (sides: readonly number[]): number => sides.reduce((product, side) => product * side, 1);

/** Fills with uniform numbers of mean 0 and standard deviation `STD` (Marsaglia's xorshift) and returns the state to go on from. */
function fillUniform(values: Float32Array, from: number): number {
  const scale = (STD * Math.sqrt(3)) / 2 ** 31;
  let state = from;
  for (let i = 0; i < values.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    values[i] = state * scale;
  }
  return state;
}
