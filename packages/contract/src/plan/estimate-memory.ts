import type { ModelShape } from '../architectures/tensor.js';
import type { BatchShape } from '../batch.js';
import { methodRow } from '../methods/registry.js';
import { OPTIMIZERS } from '../optimizers.js';
import type { RunConfig } from '../run-config.js';
import { linearShapes, totalParameters } from './shapes.js';
import { wholeParameters } from './whole-modules.js';

/** What a run computes, in the fixed shapes that are traced before its first step. */
export interface RunShapes {
  /** Micro-batches of the training steps. */
  training: readonly BatchShape[];
  /** Batches of the validation and evaluation files. */
  evaluation: readonly BatchShape[];
  /** Rows and longest context of sampled answers; null where none are sampled. */
  generation: { rows: number; context: number } | null;
}

/** Peak memory of the training process by what it is for, in bytes. */
export interface MemoryParts {
  /** Node and the TensorFlow library. */
  runtime: number;
  /** The traced graph, its kernels and the buffers that they keep. */
  graph: number;
  /** The base in float32. */
  weights: number;
  /** Values, gradients and optimiser state of what is trained. */
  trained: number;
  /** What the forward pass keeps for the backward pass, and the pieces under way, of the largest batch. */
  activations: number;
  /** Scores of a chunk of positions over the vocabulary. */
  head: number;
  /** Keys and values of sampled answers. */
  cache: number;
}

export interface MemoryEstimate {
  total_bytes: number;
  parts: MemoryParts;
}

/**
 * Fitted by least squares (docs/log.md; `npm run test:estimate` holds the sum against what it measures): peaks of resident memory of `local bench` at the shapes
 * 260K, 15M, 42M and 135M, batches of 1 x 128 to 1 x 1024, LoRA, MoRA 6 and full, mode `plain` on a CPU.
 */
const RUNTIME_BYTES = 416 * 2 ** 20;
const NODE_BYTES = 10.5 * 1024;
const NODES_PER_LAYER = 300;
const NODES_PER_LAYER_EVALUATED = 100;
const NODES_PER_VARIABLE = 32;
/** The file's pages are resident while they are read. */
const WEIGHT_COPIES = 1.21;
/** Beside the optimiser's slots: the sum of gradients, the gradients of a pass, and values that are not mapped from a file. */
const TRAINED_COPIES = 1.55;
/** Copies of the gated unit of one layer, forward and backward, that are under way at once. */
const UNIT_COPIES = 15;
const HEAD_COPIES = 2.7;
const HEAD_ROWS = 256;
const FLOAT = 4;

/** Peak memory of a run, before it starts. Of mode `eager`, which nobody trains with, it knows nothing. */
export function estimateMemory(
  model: ModelShape,
  {
    adapter,
    optimizer,
    regularize,
    attention_dropout: dropped = 0,
    trainable_parameters: trained,
  }: Pick<RunConfig, 'adapter' | 'optimizer' | 'regularize' | 'attention_dropout' | 'trainable_parameters'>,
  shapes: RunShapes,
): MemoryEstimate {
  const { layers, kvHeads, headDim, vocabSize } = model;
  const variables = 'target_modules' in adapter ? 2 * adapter.target_modules.length : 10 * layers;
  const nodes =
    layers * (NODES_PER_LAYER * shapes.training.length + NODES_PER_LAYER_EVALUATED * shapes.evaluation.length) +
    variables * NODES_PER_VARIABLE;
  const { slots } = OPTIMIZERS[optimizer.type];
  const { generation } = shapes;
  // A comparison with the base keeps a copy of the weights that are trained themselves, and the base's scores beside the model's.
  const whole = wholeParameters(adapter, model);
  const copied = regularize ? whole : 0;
  const parts: MemoryParts = {
    runtime: RUNTIME_BYTES,
    graph: nodes * NODE_BYTES,
    weights: WEIGHT_COPIES * FLOAT * (totalParameters(model) + copied + keptParameters(adapter, model)),
    trained: (TRAINED_COPIES + slots) * FLOAT * trained,
    activations: Math.max(...shapes.training.map((shape) => activationBytes(model, shape, dropped > 0)), 0),
    head: (regularize ? 2 : 1) * HEAD_COPIES * FLOAT * HEAD_ROWS * vocabSize,
    cache: generation === null ? 0 : 2 * FLOAT * layers * generation.rows * generation.context * kvHeads * headDim,
  };
  for (const name of Object.keys(parts) as (keyof MemoryParts)[]) parts[name] = Math.round(parts[name]);
  return { total_bytes: Object.values(parts).reduce((sum, bytes) => sum + bytes, 0), parts };
}

/** Numbers of an adapter that are neither the base's nor trained. */
function keptParameters(adapter: RunConfig['adapter'], model: ModelShape): number {
  const adapted = new Set('target_modules' in adapter ? adapter.target_modules : []);
  const layers = linearShapes(model).filter(({ name }) => adapted.has(name));
  return methodRow(adapter).keptParameters?.(adapter, layers) ?? 0;
}

/**
 * Of one pass, [B, T]: a layer keeps its input and its normed inputs (4 C numbers a token), queries, keys, values and what attention makes of
 * them, four numbers for each of the gated unit's F, and the weights of attention [B, H, T, T]; one layer's more are under way. Where some of
 * these are dropped, a layer keeps the others too, and a layer's random numbers and mask are under way.
 */
function activationBytes(
  { layers, hiddenSize, intermediateSize, heads, kvHeads, headDim }: ModelShape,
  { batch, time }: BatchShape,
  dropsAttention: boolean,
): number {
  const weights = dropsAttention ? 2 * layers + 3 : layers + 1;
  const attention = 3 * heads * headDim + 2 * kvHeads * headDim;
  const kept = layers * (4 * hiddenSize + attention + 4 * intermediateSize);
  return FLOAT * batch * time * (kept + weights * heads * time + UNIT_COPIES * intermediateSize);
}
