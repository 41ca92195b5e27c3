import type { Rope } from './architecture.js';
import { decoder, readBiases } from './decoder.js';
import type { JsonConfig } from './json-config.js';
import { readSliding, readWindow } from './layer-types.js';
import { readScaling, refusePartial } from './rope.js';

/**
 * Gemma 3, text only: norms around both parts of a block whose stored weight is the difference to 1, a gated GELU, scaled embeddings, and
 * five layers with a window to each one without, with rotary constants of their own (Gemma team 2025, arXiv:2503.19786).
 */
export const gemma3 = decoder({
  modelType: 'gemma3_text',
  className: 'Gemma3ForCausalLM',
  defaults: {
    kvHeads: 4,
    headDim: 256,
    maxPositions: 131_072,
    tieEmbeddings: true,
    activation: { key: 'hidden_activation', missing: 'gelu_pytorch_tanh' },
    dividesHidden: true,
  },
  layerAttention: (config, { layers, headDim, maxPositions }) => {
    const window = readWindow(config, 4096);
    const pattern = config.size('sliding_window_pattern', 6);
    const sliding = readSliding(config, { layers, window, isSliding: (layer) => (layer + 1) % pattern !== 0 });
    const { local, global } = readRopes(config, headDim, maxPositions);
    return sliding.map((isLocal) => (isLocal ? { rope: local, window } : { rope: global, window: null }));
  },
  differences: (config, { hiddenSize }) => {
    config.refuseUnless('final_logit_softcapping', [], 'asks for capped logits, which are not supported');
    config.refuseUnless('attn_logit_softcapping', [], 'asks for capped scores, which are not supported');
    config.refuseUnless('use_bidirectional_attention', [false], 'asks for attention to later tokens');
    return {
      biases: readBiases(config, { mlp: false }),
      qkNorm: 'head',
      norms: {
        beforeAttention: 'input_layernorm',
        afterAttention: 'post_attention_layernorm',
        beforeMlp: 'pre_feedforward_layernorm',
        afterMlp: 'post_feedforward_layernorm',
        offset: 1,
      },
      embeddingScale: Math.sqrt(hiddenSize),
      attentionScale: 1 / Math.sqrt(config.positive('query_pre_attn_scalar', 256)),
    };
  },
});

/**
 * The rotary constants of layers with a window and of those without. Files of transformers 5 have both under `rope_parameters`, by kind of
 * layer; older ones have `rope_local_base_freq`, and `rope_theta` with `rope_scaling`, which change the layers without a window alone.
 */
function readRopes(config: JsonConfig, width: number, maxPositions: number): { local: Rope; global: Rope } {
  const kinds = config.object('rope_parameters');
  for (const key of kinds?.keys() ?? []) {
    if (key === 'full_attention' || key === 'sliding_attention') continue;
    throw kinds?.refuse(key, 'is not under full_attention or sliding_attention, where this family has its constants');
  }
  const [full, sliding] = [kinds?.object('full_attention'), kinds?.object('sliding_attention')];
  const older = config.object('rope_scaling');
  if (older && full) throw config.refuse('rope_scaling', 'is there beside rope_parameters.full_attention; keep one');
  older?.refuseObjects('is not a number or a text');
  refusePartial(config);
  const scaled = older ?? full;
  return {
    global: {
      width,
      theta: (scaled?.has('rope_theta') ? scaled : config).positive('rope_theta', 1_000_000),
      scaling: scaled ? readScaling(scaled, maxPositions) : null,
    },
    local: {
      width,
      theta: sliding?.has('rope_theta')
        ? sliding.positive('rope_theta')
        : config.positive('rope_local_base_freq', 10_000),
      scaling: sliding ? readScaling(sliding, maxPositions) : null,
    },
  };
}
