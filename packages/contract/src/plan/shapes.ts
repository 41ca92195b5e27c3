import { modelTensors } from '../architectures/registry.js';
import type { LinearShape, ModelShape } from '../architectures/tensor.js';

/** Names and shapes of all weights, in Hugging Face order. */
export function weightShapes(config: ModelShape): Map<string, number[]> {
  return new Map(modelTensors(config).map(({ name, shape }) => [name, shape]));
}

/** The linear layers of every block, in order of computation. Embedding and head are not among them. */
export function linearShapes(config: ModelShape): LinearShape[] {
  return modelTensors(config).flatMap(({ linear }) => linear ?? []);
}

/** Numbers in all weights of a model. */
export function totalParameters(config: ModelShape): number {
  return modelTensors(config).reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
}
