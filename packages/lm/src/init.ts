import type { LlamaConfig } from '@moraine/contract/plan';
import type { HostTensor } from './host.js';
import { createRandom, hashName, mix32, normal } from './random.js';

export interface WeightInit {
  seed: number;
  /** Standard deviation of matrices: a number, or 1/sqrt(fan-in) of each linear layer (the embedding then takes 0.02). */
  std: number | 'fan-in';
}

/** Names and shapes of all weights, in Hugging Face order. */
export function weightShapes(config: LlamaConfig): Map<string, number[]> {
  const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = config;
  const shapes = new Map<string, number[]>([['model.embed_tokens.weight', [vocabSize, hiddenSize]]]);
  for (let layer = 0; layer < config.layers; layer++) {
    const path = `model.layers.${layer}`;
    shapes.set(`${path}.input_layernorm.weight`, [hiddenSize]);
    shapes.set(`${path}.self_attn.q_proj.weight`, [heads * headDim, hiddenSize]);
    shapes.set(`${path}.self_attn.k_proj.weight`, [kvHeads * headDim, hiddenSize]);
    shapes.set(`${path}.self_attn.v_proj.weight`, [kvHeads * headDim, hiddenSize]);
    shapes.set(`${path}.self_attn.o_proj.weight`, [hiddenSize, heads * headDim]);
    shapes.set(`${path}.post_attention_layernorm.weight`, [hiddenSize]);
    shapes.set(`${path}.mlp.gate_proj.weight`, [intermediateSize, hiddenSize]);
    shapes.set(`${path}.mlp.up_proj.weight`, [intermediateSize, hiddenSize]);
    shapes.set(`${path}.mlp.down_proj.weight`, [hiddenSize, intermediateSize]);
  }
  shapes.set('model.norm.weight', [hiddenSize]);
  if (!config.tieEmbeddings) shapes.set('lm_head.weight', [vocabSize, hiddenSize]);
  return shapes;
}

const EMBEDDING_STD = 0.02;

/**
 * Starting weights for pre-training: normal, norms at 1; the layers that write into the residual stream (o_proj, down_proj) are
 * scaled by 1/sqrt(2·layers) (Radford et al. 2019, §2.3). Each tensor's numbers depend on the seed and its name alone.
 */
export function initialWeights(config: LlamaConfig, { seed, std }: WeightInit): Map<string, HostTensor> {
  const weights = new Map<string, HostTensor>();
  for (const [name, shape] of weightShapes(config)) {
    const count = shape.reduce((a, b) => a * b, 1);
    if (shape.length === 1) {
      weights.set(name, { shape, data: new Float32Array(count).fill(1) });
      continue;
    }
    const isLinear = name.includes('_proj');
    const base = std === 'fan-in' ? (isLinear ? 1 / Math.sqrt(shape[1] ?? 1) : EMBEDDING_STD) : std;
    const residual = /\.(o_proj|down_proj)\.weight$/.test(name) ? 1 / Math.sqrt(2 * config.layers) : 1;
    weights.set(name, { shape, data: normal(createRandom(mix32(seed, hashName(name))), count, base * residual) });
  }
  return weights;
}
