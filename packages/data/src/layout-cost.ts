import type { LlamaConfig } from '@moraine/contract/plan';

/** Sequences of equal length side by side: what one call of a traced signature takes. */
export interface BatchShape {
  /** Sequences. */
  batch: number;
  /** Tokens a sequence. */
  time: number;
}

/** The part of a model's configuration that decides how long a pass takes. */
export type ModelWidths = Pick<
  LlamaConfig,
  'hiddenSize' | 'intermediateSize' | 'layers' | 'heads' | 'kvHeads' | 'headDim'
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
  flopsPerMs: number;
  bytesPerMs: number;
  /** Starting one operation of the graph. */
  operationMs: number;
}

const RATES: Record<'cpu' | 'gpu', MachineRates> = {
  cpu: { flopsPerMs: 1e8, bytesPerMs: 1e7, operationMs: 0.008 },
  gpu: { flopsPerMs: 2e10, bytesPerMs: 1e9, operationMs: 0.005 },
};

/** Operations of one layer's forward and backward pass in a traced graph, and passes over its [T, T] scores. */
const OPERATIONS_PER_LAYER = 280;
const SCORE_PASSES = 12;

/**
 * The cost of a training pass with frozen linears (forward and the gradient by x: 4 flops a weight and token). Attention costs
 * 12 flops a head feature and pair of positions and passes over the scores; every operation has a start; the weights are read twice.
 */
export function layoutCost(model: ModelWidths, device: 'cpu' | 'gpu' = 'cpu'): LayoutCost {
  const { flopsPerMs, bytesPerMs, operationMs } = RATES[device];
  const { hiddenSize, intermediateSize, layers, heads, kvHeads, headDim } = model;
  const weights = layers * hiddenSize * (2 * heads * headDim + 2 * kvHeads * headDim + 3 * intermediateSize);
  const tokenMs = (4 * weights) / flopsPerMs;
  const pairMs = layers * heads * ((12 * headDim) / flopsPerMs + (SCORE_PASSES * 4) / bytesPerMs);
  const startMs = layers * OPERATIONS_PER_LAYER * operationMs + (2 * 4 * weights) / bytesPerMs;
  return {
    batchMs: ({ batch, time }) => startMs + batch * time * (tokenMs + time * pairMs),
    shapeMs: 50 + layers * 15,
  };
}
