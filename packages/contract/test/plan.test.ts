import { describe, expect, test } from 'vitest';
import type { z } from 'zod';
import { AppError } from '../src/errors.js';
import { moraSide, resolveMoraType } from '../src/methods/mora.js';
import { AdapterRequest } from '../src/methods/registry.js';
import {
  ARCHITECTURES,
  countAgain,
  findTargets,
  learningRateAuto,
  linearShapes,
  matchTargets,
  parseModelConfig,
  resolveAdapter,
  resolveConfig,
  totalParameters,
  weightShapes,
} from '../src/plan/index.js';
import { CreateRunRequest } from '../src/run-request.js';

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
    parseModelConfig({ ...json, ...change });
  } catch (error) {
    if (error instanceof AppError) return error;
    throw error;
  }
  throw new Error('the config was accepted');
};

test('a config takes the defaults of transformers for what it leaves out', () => {
  expect(parseModelConfig(json)).toEqual({
    modelType: 'llama',
    vocabSize: 1024,
    hiddenSize: 128,
    intermediateSize: 344,
    layers: 5,
    heads: 4,
    kvHeads: 4,
    headDim: 32,
    maxPositions: 256,
    tieEmbeddings: true,
    biases: { qkv: false, output: false, mlp: false },
    fused: false,
    qkNorm: null,
    norms: {
      beforeAttention: 'input_layernorm',
      afterAttention: null,
      beforeMlp: 'post_attention_layernorm',
      afterMlp: null,
      offset: 0,
    },
    rmsNormEps: 1e-5,
    activation: 'silu',
    embeddingScale: 1,
    attentionScale: 1 / Math.sqrt(32),
    layerAttention: Array.from({ length: 5 }, () => ({
      rope: { theta: 10_000, width: 32, scaling: null },
      window: null,
    })),
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
  const expected = { kind: 'llama3', factor: 8, lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositions: 8192 };
  const old = parseModelConfig({ ...json, rope_theta: 5e5, rope_scaling: scaling });
  const recent = parseModelConfig({ ...json, rope_parameters: { rope_theta: 5e5, ...scaling } });
  expect(old.layerAttention[0]).toEqual({ rope: { theta: 5e5, width: 32, scaling: expected }, window: null });
  expect(recent).toEqual(old);
});

// The right values are what LlamaConfig of transformers 5.24 makes of the same keys.
test.each([
  ['the outer theta', { rope_theta: 5e5 }, 5e5],
  ['a theta in rope_scaling alone', { rope_scaling: { type: 'default', rope_theta: 500 } }, 500],
  [
    'the inner one of two thetas',
    { rope_theta: 20_000, rope_parameters: { rope_type: 'default', rope_theta: 500 } },
    500,
  ],
  [
    'rope_scaling before rope_parameters',
    { rope_scaling: { rope_theta: 300 }, rope_parameters: { rope_theta: 500 } },
    300,
  ],
  ['rope_parameters beside an empty rope_scaling', { rope_scaling: {}, rope_parameters: { rope_theta: 500 } }, 500],
  ['rope_parameters beside null', { rope_scaling: null, rope_parameters: { rope_theta: 500 } }, 500],
  ['no theta', {}, 10_000],
])('%s counts', (_name, keys, theta) => {
  expect(parseModelConfig({ ...json, ...keys }).layerAttention[0]?.rope).toEqual({ theta, width: 32, scaling: null });
});

// The right values are those of the model that transformers 5.24 makes: what its configuration says before is changed once more.
test.each([
  ['the one at the top of the file, before that in the scaling', { original_max_position_embeddings: 64 }, 32, 32],
  ['the one at the top of the file', {}, 32, 32],
  ['that in the scaling', { original_max_position_embeddings: 64 }, undefined, 64],
  ['the longest context where neither names one', {}, null, 256],
])('the original context of llama3 scaling is %s', (_name, keys, top, original) => {
  const rope_scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, ...keys };
  const read = parseModelConfig({ ...json, rope_scaling, original_max_position_embeddings: top });
  expect(read.layerAttention[0]?.rope?.scaling).toMatchObject({ originalMaxPositions: original });
});

test('swish is another name of silu', () => {
  expect(parseModelConfig({ ...json, hidden_act: 'swish' })).toEqual(parseModelConfig(json));
});

test('a config without model_type is of the family of its class; without either it is refused', () => {
  const { model_type, ...untyped } = json;
  expect(parseModelConfig(untyped)).toEqual(parseModelConfig(json));
  const { architectures, ...bare } = untyped;
  expect(() => parseModelConfig(bare)).toThrow('config.json: architectures: it is missing.');
});

test('a family that is not supported is refused with those that are', () => {
  const { message, hint } = problem({ model_type: 'gpt2', architectures: ['GPT2LMHeadModel'] });
  expect(message).toBe('config.json: model_type: "gpt2" is not a supported model family.');
  for (const { modelType, className } of ARCHITECTURES) expect(hint).toContain(`${modelType} (${className})`);
});

test.each([
  ['model_type', { model_type: 'gpt2', architectures: ['GPT2LMHeadModel'] }, /gpt2/],
  ['attention_bias', { attention_bias: 'some' }, /"some" is neither true nor false/],
  [
    'architectures',
    { architectures: ['LlamaForSequenceClassification'] },
    /LlamaForSequenceClassification.*has no LlamaForCausalLM/,
  ],
  ['hidden_act', { hidden_act: 'gelu' }, /"gelu" is none of silu, swish, gelu_pytorch_tanh, gelu_new/],
  ['attention_dropout', { attention_dropout: 0.1 }, /0.1 asks for dropout/],
  ['tie_word_embeddings', { tie_word_embeddings: 'yes' }, /"yes" is neither true nor false/],
  ['rope_scaling', { rope_scaling: 4 }, /4 is not an object/],
  ['rope_scaling.rope_type', { rope_scaling: { rope_type: 'yarn', factor: 4 } }, /yarn/],
  [
    'rope_parameters.rope_type',
    { rope_parameters: { rope_type: 'longrope', short_factor: [1, 2] } },
    /none of default/,
  ],
  ['rope_parameters.type', { rope_parameters: { type: 'dynamic', factor: 4 } }, /dynamic/],
  [
    'rope_scaling.factor',
    { rope_scaling: { rope_type: 'llama3', low_freq_factor: 1, high_freq_factor: 4 } },
    /is missing/,
  ],
  ['rope_scaling.rope_theta', { rope_scaling: { rope_theta: 0 } }, /0 is not a positive number/],
  ['partial_rotary_factor', { partial_rotary_factor: 0.5 }, /0.5 asks for partial/],
  ['rope_parameters.partial_rotary_factor', { rope_parameters: { partial_rotary_factor: 0.5 } }, /0.5 asks/],
  ['quantization_config', { quantization_config: { bits: 4 } }, /quantised/],
  ['hidden_size', { hidden_size: 'wide' }, /"wide" is not a positive number/],
  ['vocab_size', { vocab_size: undefined }, /is missing/],
  ['num_key_value_heads', { num_key_value_heads: 3 }, /3 makes 3, which does not divide num_attention_heads 4/],
  ['hidden_size', { hidden_size: 130 }, /130 is not a multiple of num_attention_heads 4/],
  ['head_dim', { head_dim: 31 }, /odd/],
])('a config whose %s cannot be trained is refused by that name', (key, change, message) => {
  expect(problem(change)).toMatchObject({ code: 'invalid_base', param: key });
  expect(problem(change).message).toMatch(message);
});

test('layers have the widths of grouped-query attention and of the gated unit', () => {
  const shapes = linearShapes(parseModelConfig({ ...json, num_key_value_heads: 2 }));
  expect(shapes).toHaveLength(35);
  expect(shapes[1]).toEqual({ name: 'model.layers.0.self_attn.k_proj', inDim: 128, outDim: 64 });
  expect(shapes[34]).toEqual({ name: 'model.layers.4.mlp.down_proj', inDim: 344, outDim: 128 });
});

test('every weight is named once, in the order of Hugging Face, and a linear layer is its own [out, in] matrix', () => {
  const config = parseModelConfig({
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
  expect(totalParameters(parseModelConfig(json))).toBe(1_120_640);
  expect(totalParameters(parseModelConfig({ ...json, tie_word_embeddings: false }))).toBe(1_120_640 + 131_072);
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

const shapes = linearShapes(parseModelConfig(json));

test('a target is a full path, the end of one, or all', () => {
  expect(matchTargets(shapes, 'all-linear').matched).toHaveLength(35);
  expect(matchTargets(shapes, ['q_proj', 'mlp.up_proj']).matched).toHaveLength(10);
  expect(matchTargets(shapes, ['model.layers.3.mlp.down_proj']).matched).toEqual([shapes[27]]);
  expect(findTargets(shapes, ['proj', 'q_proj']).unmatchedPatterns).toEqual(['proj']);
  const count = (...targets: string[]) => matchTargets(shapes, targets).matched.length;
  expect(count('mlp')).toBe(15);
  expect(count('layers.1')).toBe(7);
  expect(count('layers.[1-3].self_attn')).toBe(12);
  expect(count('layers.*.mlp.*_proj', 'mlp')).toBe(15);
  expect(count('v*')).toBe(5);
  const odd = ['layers.[3-1]', 'layers.[7-9]', 'self_attn.mlp', '(q|k)_proj', '.', 'q_proj.', 'laye'];
  expect(findTargets(shapes, odd).unmatchedPatterns).toEqual(odd);
});

test('a target that matches nothing is named with the nearest that exists', () => {
  expect(() => matchTargets(shapes, ['q_porj'])).toThrow("No linear layer is called 'q_porj'");
  expect(() => matchTargets(shapes, ['q_porj'])).toThrow(
    expect.objectContaining({ hint: expect.stringContaining("'q_proj'") }),
  );
  expect(() => matchTargets(shapes, [])).toThrow(expect.objectContaining({ code: 'no_target_matched' }));
});

const rateOf = (keys: z.input<typeof AdapterRequest>, width: number): number =>
  learningRateAuto(resolveAdapter(AdapterRequest.parse(keys), parseModelConfig(json)).adapter, width);

test('automatic rates are those of the demo at its width and fall with the root of the width, of full fine-tuning with the width', () => {
  expect(rateOf({ type: 'lora' }, 128)).toBe(2e-3);
  expect(rateOf({ type: 'mora', mora_type: 6 }, 128)).toBe(2e-3);
  expect(rateOf({ type: 'mora', mora_type: 1 }, 128)).toBe(1e-3);
  expect(rateOf({ type: 'lora' }, 4096)).toBe(3.5e-4);
  expect(rateOf({ type: 'none' }, 2000)).toBe(5e-5);
  expect(rateOf({ type: 'none' }, 4096)).toBe(2.4e-5);
});

describe('a configuration on the rows that are trained on', () => {
  const resolve = (request: object, rows: number) =>
    resolveConfig({
      request: CreateRunRequest.parse({ model: 'tiny', training_file: 'file-1', ...request }),
      baseName: 'tiny',
      base: parseModelConfig(json),
      rows,
      seed: 1,
      templateDate: '2026-11-28',
    });

  test('counts epochs over the rows that are left', () => {
    const planned = resolve({ batch_size: 4, hyperparameters: { n_epochs: 2 } }, 37);
    expect(planned.steps).toBe(19);
    expect(countAgain(planned, 29)).toEqual(resolve({ batch_size: 4, hyperparameters: { n_epochs: 2 } }, 29));
    expect(countAgain(planned, 29).steps).toBe(15);
  });

  test('keeps the steps that are asked for, and says how many epochs they are', () => {
    const planned = resolve({ batch_size: 4, max_steps: 10 }, 40);
    expect(countAgain(planned, 10)).toMatchObject({ steps: 10, n_epochs: 4 });
  });

  test('keeps a limit on steps where epochs are asked for too', () => {
    const planned = resolve({ batch_size: 4, max_steps: 10, hyperparameters: { n_epochs: 2 } }, 40);
    expect(countAgain(planned, 80).steps).toBe(10);
    expect(countAgain(planned, 8).steps).toBe(4);
  });

  test('keeps warm-up and evaluations as they are asked for', () => {
    const asked = { batch_size: 1, schedule: { warmup_steps: 6 }, evaluation: { every_steps: 7 } };
    const planned = resolve({ ...asked, hyperparameters: { n_epochs: 1 } }, 100);
    expect(countAgain(planned, 50)).toMatchObject({ schedule: { warmup_steps: 6 }, evaluation: { every_steps: 7 } });
    expect(countAgain(planned, 4)).toMatchObject({ steps: 4, schedule: { warmup_steps: 4 } });
  });

  test('is left as it is where an earlier version did not say what follows from the rows', () => {
    const { follows: _follows, ...old } = resolve({}, 100);
    expect(countAgain(old, 10)).toEqual(old);
  });
});
