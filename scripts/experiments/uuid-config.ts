/** Every number of the memorisation experiment in one place. */
import type { OptimizerOptions, Schedule } from '@moraine/lm';

export const METHODS = ['full', 'lora', 'mora-1', 'mora-6'] as const;
export type MethodName = (typeof METHODS)[number];

export const METHOD_LABELS: Record<MethodName, string> = {
  full: 'full',
  lora: 'LoRA r=4',
  'mora-1': 'MoRA 1 (r=4)',
  'mora-6': 'MoRA 6 (r=4)',
};

/** Pairs of random strings of hexadecimal digits, drawn once for all methods and seeds. */
export const PAIRS_SEED = 2405;
export const PAIR_COUNT = 1000;
export const DIGITS = 8;
export const ROWS_PER_BATCH = 100;

export const RANK = 4;
/** LoRA's update is scaled by alpha / rank = 2. MoRA has no scale. */
export const LORA_ALPHA = 8;

/** Four rates a decade. A method's search begins at four neighbours and goes on past an end that turns out best. */
export const RATES: readonly number[] = [
  1e-4, 1.75e-4, 3e-4, 5.5e-4, 1e-3, 1.75e-3, 3e-3, 5.5e-3, 1e-2, 1.75e-2, 3e-2, 5.5e-2, 1e-1,
];
export const FIRST_RATES: Record<MethodName, readonly number[]> = {
  full: [3e-4, 5.5e-4, 1e-3, 1.75e-3],
  lora: [1.75e-3, 3e-3, 5.5e-3, 1e-2],
  'mora-1': [5.5e-4, 1e-3, 1.75e-3, 3e-3],
  'mora-6': [1.75e-3, 3e-3, 5.5e-3, 1e-2],
};

export const GRID_STEPS = 400;
/** Not one of the final seeds, so that a rate is not judged by the run that chose it. */
export const GRID_SEED = 0;
export const FINAL_STEPS = 1000;
export const FINAL_SEEDS = [1, 2, 3] as const;
/** Steps of a final run after which its answers are decoded. */
export const EVALUATE_AT = [300, 500, 700, 1000] as const;

export const OPTIMIZER: Omit<OptimizerOptions, 'type'> = {
  beta1: 0.9,
  beta2: 0.95,
  eps: 1e-8,
  weightDecay: 0,
  maxGradNorm: 1,
};
export const schedule = (learningRate: number): Schedule => ({
  type: 'constant',
  learningRate,
  warmupSteps: 50,
  totalSteps: FINAL_STEPS,
  minRatio: 1,
});
