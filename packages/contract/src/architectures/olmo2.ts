import { decoder, readBiases } from './decoder.js';

/** OLMo 2: norms after both parts of a block, and of all queries and all keys together (OLMo team 2024, arXiv:2501.00656). */
export const olmo2 = decoder({
  modelType: 'olmo2',
  className: 'Olmo2ForCausalLM',
  defaults: { maxPositions: 2048, rmsNormEps: 1e-5 },
  differences: (config) => ({
    biases: readBiases(config, { mlp: false }),
    qkNorm: 'projection',
    norms: {
      beforeAttention: null,
      afterAttention: 'post_attention_layernorm',
      beforeMlp: null,
      afterMlp: 'post_feedforward_layernorm',
      offset: 0,
    },
  }),
});
