import type { JsonConfig } from './json-config.js';
import type { ModelShape, ModelTensor } from './tensor.js';

/** How rotary frequencies differ from theta's own: all divided by a factor, Llama 3.1's change of the long wavelengths alone, or LongRoPE. */
export type RopeScaling = { kind: 'linear'; factor: number } | Llama3RopeScaling | LongRopeScaling;

export interface Llama3RopeScaling {
  kind: 'llama3';
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  originalMaxPositions: number;
}

/** LongRoPE (Ding et al. 2024, arXiv:2402.13753) within the original context, where its short factors hold. */
export interface LongRopeScaling {
  kind: 'longrope';
  /** What each frequency is divided by. */
  factors: readonly number[];
  /** What rotated queries and keys are multiplied by. */
  magnitude: number;
}

/** Rotary positions of one layer. */
export interface Rope {
  theta: number;
  /** Features of a head that rotate, the first ones; the others pass. */
  width: number;
  scaling: RopeScaling | null;
}

/** What a layer's attention sees of positions. */
export interface LayerAttention {
  /** null: the layer rotates nothing (SmolLM3's layers without positions). */
  rope: Rope | null;
  /** A query sees the last `window` positions, its own among them; null: all before it. */
  window: number | null;
}

export type Activation = 'silu' | 'gelu_tanh';

/** What a model computes with, from a Hugging Face `config.json`: its sizes and its constants. */
export interface ModelConfig extends ModelShape {
  rmsNormEps: number;
  /** Of the gated unit. */
  activation: Activation;
  /** What rows of the embedding table are multiplied by. */
  embeddingScale: number;
  /** What scores are multiplied by before the softmax. */
  attentionScale: number;
  /** One entry a layer. */
  layerAttention: readonly LayerAttention[];
}

/** All that is known of a family of models without computing with it. A family is one file and one line in `index.ts`. */
export interface Architecture {
  /** `model_type` of its config.json. */
  modelType: string;
  /** Its class in transformers, as config.json has it under `architectures`. */
  className: string;
  /** Names of the embedding table and of the head, both [vocabulary, hidden]; a tied head is stored under either. */
  embedding: string;
  head: string;
  /** Reads a config.json whose `model_type` is this one. @throws AppError `invalid_base` with key and value. */
  parse(config: JsonConfig): Omit<ModelConfig, 'modelType'>;
  /** Every weight, in Hugging Face order; the linear layers of a block in order of computation. */
  tensors(shape: ModelShape): ModelTensor[];
}
