import { expect, test } from 'vitest';
import type { z } from 'zod';
import { AppError } from '../src/errors.js';
import { moraSide, resolveMoraType } from '../src/methods/mora.js';
import { AdapterRequest } from '../src/methods/registry.js';
import {
  findTargets,
  learningRateAuto,
  linearShapes,
  matchTargets,
  parseLlamaConfig,
  resolveAdapter,
  totalParameters,
  weightShapes,
} from '../src/plan/index.js';

const json = {
  model_type: 'llama',
  architectures: ['LlamaForCausalLM'],
  vocab_size: 1024,
  hidden_size: 128,
  intermediate_size: 344,
  num_hidden_layers: 5,
  num_attention_heads: 4,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  tie_word_embeddings: true,
};
const problem = (change: Record<string, unknown>): AppError => {
  try {
    parseLlamaConfig({ ...json, ...change });
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('the config was accepted');
};

test('a config takes the defaults of transformers for what it leaves out', () => {
  expect(parseLlamaConfig(json)).toEqual({
    vocabSize: 1024,
    hiddenSize: 128,
    intermediateSize: 344,
    layers: 5,
    heads: 4,
    kvHeads: 4,
    headDim: 32,
    maxPositions: 256,
    rmsNormEps: 1e-5,
    ropeTheta: 10_000,
    ropeScaling: null,
    tieEmbeddings: true,
  });
});

test('both spellings of the rotary keys are read', () => {
  const scaling = {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8192,
  };
  const expected = { factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 };
  const old = parseLlamaConfig({ ...json, rope_theta: 5e5, rope_scaling: scaling });
  const recent = parseLlamaConfig({ ...json, rope_parameters: { rope_theta: 5e5, ...scaling } });
  expect(old).toMatchObject({ ropeTheta: 5e5, ropeScaling: expected });
  expect(recent).toEqual(old);
});

test.each([
  ['model_type', { model_type: 'gpt2', architectures: ['GPT2LMHeadModel'] }, /gpt2/],
  ['attention_bias', { attention_bias: true }, /bias/],
  ['hidden_act', { hidden_act: 'gelu' }, /gelu is not silu/],
  ['rope_scaling', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, /yarn/],
  ['quantization_config', { quantization_config: { bits: 4 } }, /quantised/],
  ['hidden_size', { hidden_size: 'wide' }, /"wide" is not a positive number/],
  ['vocab_size', { vocab_size: undefined }, /is missing/],
  ['num_key_value_heads', { num_key_value_heads: 3 }, /3 does not divide num_attention_heads 4/],
  ['head_dim', { head_dim: 31 }, /odd/],
])('a config whose %s cannot be trained is refused by that name', (key, change, message) => {
  expect(problem(change)).toMatchObject({ code: 'invalid_base', param: key });
  expect(problem(change).message).toMatch(message);
});

test('layers have the widths of grouped-query attention and of the gated unit', () => {
  const shapes = linearShapes(parseLlamaConfig({ ...json, num_key_value_heads: 2 }));
  expect(shapes).toHaveLength(35);
  expect(shapes[1]).toEqual({ name: 'model.layers.0.self_attn.k_proj', inDim: 128, outDim: 64 });
  expect(shapes[34]).toEqual({ name: 'model.layers.4.mlp.down_proj', inDim: 344, outDim: 128 });
});

test('every weight is named once, in the order of Hugging Face, and a linear layer is its own [out, in] matrix', () => {
  const config = parseLlamaConfig({
    ...json,
    num_key_value_heads: 2,
    num_hidden_layers: 1,
    tie_word_embeddings: false,
  });
  expect([...weightShapes(config)]).toEqual([
    ['model.embed_tokens.weight', [1024, 128]],
    ['model.layers.0.input_layernorm.weight', [128]],
    ['model.layers.0.self_attn.q_proj.weight', [128, 128]],
    ['model.layers.0.self_attn.k_proj.weight', [64, 128]],
    ['model.layers.0.self_attn.v_proj.weight', [64, 128]],
    ['model.layers.0.self_attn.o_proj.weight', [128, 128]],
    ['model.layers.0.post_attention_layernorm.weight', [128]],
    ['model.layers.0.mlp.gate_proj.weight', [344, 128]],
    ['model.layers.0.mlp.up_proj.weight', [344, 128]],
    ['model.layers.0.mlp.down_proj.weight', [128, 344]],
    ['model.norm.weight', [128]],
    ['lm_head.weight', [1024, 128]],
  ]);
});

// transformers counts 1,120,640 (tied) for this config: 131,072 + 5·(4·16,384 + 3·44,032 + 256) + 128.
test('all weights are counted, the head once when it is tied', () => {
  expect(totalParameters(parseLlamaConfig(json))).toBe(1_120_640);
  expect(totalParameters(parseLlamaConfig({ ...json, tie_word_embeddings: false }))).toBe(1_120_640 + 131_072);
});

// From the authors' code (arXiv:2405.12130): 4096 -> 4096, 4096 <-> 11008, Llama 3's 4096 -> 1024.
test('the side of the square matrix is that of the reference implementation', () => {
  expect([8, 128, 256].map((rank) => moraSide(4096, 4096, rank, 1))).toEqual([256, 1024, 1448]);
  expect([8, 128, 256].map((rank) => moraSide(4096, 11008, rank, 1))).toEqual([348, 1390, 1966]);
  expect([8, 128, 256].map((rank) => moraSide(4096, 1024, rank, 6))).toEqual([202, 810, 1144]);
  expect(moraSide(128, 128, 2, 1) ** 2).toBe(529);
});

test('small ranks rotate, large ones share', () => {
  expect([8, 63, 64, 256].map(resolveMoraType)).toEqual([6, 6, 1, 1]);
});

const shapes = linearShapes(parseLlamaConfig(json));

test('a target is a full path, the end of one, or all', () => {
  expect(matchTargets(shapes, 'all-linear').matched).toHaveLength(35);
  expect(matchTargets(shapes, ['q_proj', 'mlp.up_proj']).matched).toHaveLength(10);
  expect(matchTargets(shapes, ['model.layers.3.mlp.down_proj']).matched).toEqual([shapes[27]]);
  expect(findTargets(shapes, ['proj', 'q_proj']).unmatchedPatterns).toEqual(['proj']);
});

test('a target that matches nothing is named with the nearest that exists', () => {
  expect(() => matchTargets(shapes, ['q_porj'])).toThrow("No linear layer is called 'q_porj'");
  expect(() => matchTargets(shapes, ['q_porj'])).toThrow(
    expect.objectContaining({ hint: expect.stringContaining("'q_proj'") }),
  );
  expect(() => matchTargets(shapes, [])).toThrow(expect.objectContaining({ code: 'no_target_matched' }));
});

const rateOf = (keys: z.input<typeof AdapterRequest>, width: number): number =>
  learningRateAuto(resolveAdapter(AdapterRequest.parse(keys), parseLlamaConfig(json)).adapter, width);

test('automatic rates are those of the demo at its width and fall with the root of the width', () => {
  expect(rateOf({ type: 'lora' }, 128)).toBe(2e-3);
  expect(rateOf({ type: 'mora', mora_type: 6 }, 128)).toBe(2e-3);
  expect(rateOf({ type: 'mora', mora_type: 1 }, 128)).toBe(1e-3);
  expect(rateOf({ type: 'none' }, 2000)).toBe(5e-5);
});
