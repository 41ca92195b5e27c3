import { expect, test } from 'vitest';
import { checkFolder, modelTensors, parseModelConfig, WEIGHTS_FILE } from '../src/plan/index.js';
import { parseHeader } from '../src/safetensors.js';

// The types of the format and their bits, as its reference implementation has them; large enough that sizes alone would tell.
const BITS = {
  ...{ F64: 64, F32: 32, F16: 16, BF16: 16, C64: 64, I64: 64, U64: 64, I32: 32, U32: 32, I16: 16, U16: 16 },
  ...{ I8: 8, U8: 8, BOOL: 8, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F8_E4M3FNUZ: 8, F8_E5M2FNUZ: 8 },
  ...{ F6_E2M3: 6, F6_E3M2: 6, F4: 4 },
};
const READ = ['F64', 'F32', 'F16', 'BF16'];
const config = parseModelConfig({
  architectures: ['LlamaForCausalLM'],
  model_type: 'llama',
  vocab_size: 8_192,
  hidden_size: 512,
  intermediate_size: 1_024,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  tie_word_embeddings: true,
});

/** Checks a file whose weights are all of one type; it has a header and no bytes. */
function checkStored(dtype: string, bits: number) {
  const head: Record<string, unknown> = {};
  let at = 0;
  for (const { name, shape } of modelTensors(config)) {
    const begin = at;
    at += (shape.reduce((a, b) => a * b, 1) * bits) / 8;
    head[name] = { dtype, shape, data_offsets: [begin, at] };
  }
  const text = new TextEncoder().encode(JSON.stringify(head));
  const bytes = new Uint8Array(8 + text.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  const sizeBytes = bytes.length + at;
  return checkFolder([WEIGHTS_FILE], config, {
    json: () => ({}),
    sizeOf: () => sizeBytes,
    header: () => parseHeader(bytes, sizeBytes),
    isSame: () => false,
  });
}

test.each(Object.entries(BITS))('weights of type %s are read, or refused by their type', (dtype, bits) => {
  if (READ.includes(dtype)) {
    expect([...checkStored(dtype, bits).weights.values()].map((weight) => weight.dtype)).toContain(dtype);
    return;
  }
  expect(() => checkStored(dtype, bits)).toThrow(
    expect.objectContaining({
      code: 'invalid_base',
      message: `model.embed_tokens.weight is stored as ${dtype}, which is none of F32, F16, BF16, F64.`,
      hint: expect.stringContaining('not quantised'),
    }),
  );
});
