import { REFERENCE_WIDTH } from '../methods/method.js';
import { type MethodConfig, methodRow } from '../methods/registry.js';

/** Peak rate of LoRA at hidden width 2000, which the methods' own are shares of; it falls with the root of the width. */
export const REFERENCE_RATE = 5e-4;

/**
 * Learning rate where the user leaves it to us, two significant digits. LoRA: 5e-4 · sqrt(2000 / width): 2e-3 at width 128 and 3.5e-4 at
 * 4096. MoRA with rotation takes the same, with sharing half; full fine-tuning 5e-5 · 2000 / width, a tenth at 2000 (Schulman et al. 2025,
 * "LoRA Without Regret") and 2.4e-5 at 4096. A centre for a search, not an optimum; docs/log.md has what it reaches.
 */
export function learningRateAuto(method: MethodConfig, hiddenSize: number): number {
  return twoDigits(referenceRate(hiddenSize) * methodRow(method).learningRate(method, hiddenSize));
}

/** LoRA's. */
export const referenceRate = (hiddenSize: number): number =>
  twoDigits(REFERENCE_RATE * Math.sqrt(REFERENCE_WIDTH / hiddenSize));

export const twoDigits = (x: number) => Number(x.toPrecision(2));
