import type { BatchShape } from '@moraine/contract';
import type { ModelShape } from '@moraine/contract/plan';

/** The part of a model's configuration that decides how long a pass takes. */
export type ModelWidths = Pick<
  ModelShape,
  'vocabSize' | 'hiddenSize' | 'intermediateSize' | 'layers' | 'heads' | 'kvHeads' | 'headDim'
>;

/** How long passes of a model take, in milliseconds: a rough model that ranks layouts, measured on no particular machine. */
export interface LayoutCost {
  /** One micro-batch of a shape, forward and backward. */
  batchMs(shape: BatchShape): number;
  /** To trace and load one more shape, once a run. */
  shapeMs: number;
}

/** Rates of a machine: what ranks the shapes is how dear an operation's start and a pass over memory are against arithmetic. */
interface MachineRates {
  linearFlopsPerMs: number;
  attentionFlopsPerMs: number;
  bytesPerMs: number;
  /** Starting one operation of the graph. */
  operationMs: number;
}

/** Of the CPU: fitted to steps of 1x64 to 1x1024 tokens at the 260K and 15M shapes, one core. Of the GPU: a guess from data sheets. */
const RATES: Record<'cpu' | 'gpu', MachineRates> = {
  cpu: { linearFlopsPerMs: 7.5e7, attentionFlopsPerMs: 1.33e8, bytesPerMs: 1e7, operationMs: 0.004 },
  gpu: { linearFlopsPerMs: 2e10, attentionFlopsPerMs: 2e10, bytesPerMs: 1e9, operationMs: 0.005 },
};

/** Operations of one layer's forward and backward pass in a traced graph, and passes over its [T, T] scores. */
const OPERATIONS_PER_LAYER = 280;
const SCORE_PASSES = 12;
/** Passes of one layer over a token's hidden state and over its intermediate state, between the products. */
const HIDDEN_PASSES = 40;
const INTERMEDIATE_PASSES = 15;
/** A product brings its weights into another order first: passes over all weights, however few the tokens. */
const WEIGHT_PASSES = 5;
/** Part of the tokens that the head is computed for. */
const SUPERVISED_SHARE = 1 / 3;
const BYTES = 4;

/**
 * The cost of a training pass with frozen linears (forward and the gradient by x: 4 flops a weight and token), 12 flops a head feature and
 * pair of positions in attention, and passes over memory.
 */
export function layoutCost(model: ModelWidths, device: 'cpu' | 'gpu' = 'cpu'): LayoutCost {
  const { linearFlopsPerMs, attentionFlopsPerMs, bytesPerMs, operationMs } = RATES[device];
  const { vocabSize, hiddenSize, intermediateSize, layers, heads, kvHeads, headDim } = model;
  const weights = layers * hiddenSize * (2 * heads * headDim + 2 * kvHeads * headDim + 3 * intermediateSize);
  const head = vocabSize * hiddenSize;
  const passes = layers * (HIDDEN_PASSES * hiddenSize + INTERMEDIATE_PASSES * intermediateSize);
  const tokenMs = (4 * (weights + SUPERVISED_SHARE * head)) / linearFlopsPerMs + (passes * BYTES) / bytesPerMs;
  const pairMs = layers * heads * ((12 * headDim) / attentionFlopsPerMs + (SCORE_PASSES * BYTES) / bytesPerMs);
  const startMs = layers * OPERATIONS_PER_LAYER * operationMs + (WEIGHT_PASSES * BYTES * (weights + head)) / bytesPerMs;
  return {
    batchMs: ({ batch, time }) => startMs + batch * time * (tokenMs + time * pairMs),
    shapeMs: 50 + layers * 15,
  };
}
