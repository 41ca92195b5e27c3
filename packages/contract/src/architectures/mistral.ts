import { decoder, refuseMlpBias } from './decoder.js';
import { readWindow } from './layer-types.js';

/** Mistral: every layer looks back one window (Jiang et al. 2023, arXiv:2310.06825). */
export const mistral = decoder({
  modelType: 'mistral',
  className: 'MistralForCausalLM',
  defaults: { kvHeads: 8, maxPositions: 131_072 },
  layerAttention: (config, { layers, rope }) => {
    config.refuseUnless('layer_types', [], 'asks for layers of several kinds, which this family does not have');
    const layer = { rope: rope(), window: readWindow(config, 4096) };
    return Array.from({ length: layers }, () => layer);
  },
  differences: (config) => {
    refuseMlpBias(config);
    config.refuseUnless('attention_bias', [false], 'asks for attention with biases, which this family does not have');
    return {};
  },
});
