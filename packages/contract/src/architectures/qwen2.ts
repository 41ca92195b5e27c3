import { decoder, refuseMlpBias } from './decoder.js';
import { readQwenLayers } from './layer-types.js';

/** Qwen2 and Qwen2.5: queries, keys and values have biases (Yang et al. 2024, arXiv:2407.10671). */
export const qwen2 = decoder({
  modelType: 'qwen2',
  className: 'Qwen2ForCausalLM',
  defaults: { kvHeads: 32, maxPositions: 32_768 },
  layerAttention: readQwenLayers,
  differences: (config) => {
    refuseMlpBias(config);
    return { biases: { qkv: true, output: false, mlp: false } };
  },
});
