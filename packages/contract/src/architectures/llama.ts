import { decoder, readBiases } from './decoder.js';

/** Llama 1 to 3, and SmolLM 1 and 2, which are stored as Llama (Touvron et al. 2023, arXiv:2302.13971). */
export const llama = decoder({
  modelType: 'llama',
  className: 'LlamaForCausalLM',
  defaults: { maxPositions: 2048, dividesHidden: true },
  differences: (config) => ({ biases: readBiases(config, { mlp: true }) }),
});
