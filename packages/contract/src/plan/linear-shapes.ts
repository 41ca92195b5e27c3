import type { LlamaConfig } from './llama-config.js';

/** One linear layer of a model: its Hugging Face module path and widths. */
export interface LinearShape {
  name: string;
  inDim: number;
  outDim: number;
}

/** The seven linear layers of every block, in order of computation. Embedding and head are not among them. */
export function linearShapes(config: LlamaConfig): LinearShape[] {
  const { hiddenSize, intermediateSize, headDim } = config;
  const qDim = config.heads * headDim;
  const kvDim = config.kvHeads * headDim;
  return Array.from({ length: config.layers }, (_, layer) => {
    const path = `model.layers.${layer}`;
    return [
      { name: `${path}.self_attn.q_proj`, inDim: hiddenSize, outDim: qDim },
      { name: `${path}.self_attn.k_proj`, inDim: hiddenSize, outDim: kvDim },
      { name: `${path}.self_attn.v_proj`, inDim: hiddenSize, outDim: kvDim },
      { name: `${path}.self_attn.o_proj`, inDim: qDim, outDim: hiddenSize },
      { name: `${path}.mlp.gate_proj`, inDim: hiddenSize, outDim: intermediateSize },
      { name: `${path}.mlp.up_proj`, inDim: hiddenSize, outDim: intermediateSize },
      { name: `${path}.mlp.down_proj`, inDim: intermediateSize, outDim: hiddenSize },
    ];
  }).flat();
}
