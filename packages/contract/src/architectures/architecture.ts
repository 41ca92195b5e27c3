import type { JsonConfig } from './json-config.js';
import type { ModelShape, ModelTensor } from './tensor.js';

/** RoPE frequency scaling of Llama 3.1 and later (`rope_type: llama3`), the one kind besides none that is supported. */
export interface Llama3RopeScaling {
  factor: number;
  lowFreqFactor: number;
  highFreqFactor: number;
  originalMaxPositions: number;
}

/** What a model computes with, from a Hugging Face `config.json`: its sizes and its constants. */
export interface ModelConfig extends ModelShape {
  rmsNormEps: number;
  ropeTheta: number;
  ropeScaling: Llama3RopeScaling | null;
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
