import { decoder, readBiases } from './decoder.js';
import { readQwenLayers } from './layer-types.js';

/** Qwen3, dense: each head's queries and keys are normalised (Yang et al. 2025, arXiv:2505.09388). */
export const qwen3 = decoder({
  modelType: 'qwen3',
  className: 'Qwen3ForCausalLM',
  defaults: { kvHeads: 32, headDim: 128, maxPositions: 32_768 },
  layerAttention: readQwenLayers,
  differences: (config) => ({ biases: readBiases(config, { mlp: false }), qkNorm: 'head' }),
});
