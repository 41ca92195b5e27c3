import type { MethodShape } from './parameters.js';

/** Peak rate of LoRA at hidden width 2000; it falls with the root of the width. */
const LORA_RATE = 5e-4;
const REFERENCE_WIDTH = 2000;

/**
 * Learning rate where the user leaves it to us, two significant digits. LoRA: 5e-4 · sqrt(2000 / width): 2e-3 at width 128 and 3.5e-4 at
 * 4096. MoRA with rotation takes the same, with sharing half (its first step moves the weights as far as full fine-tuning does at the
 * same rate, arXiv:2405.12130 tunes accordingly); full fine-tuning a tenth (Schulman et al. 2025, "LoRA Without Regret").
 * A centre for a search, not an optimum.
 */
export function learningRateAuto(method: MethodShape, hiddenSize: number): number {
  const lora = twoDigits(LORA_RATE * Math.sqrt(REFERENCE_WIDTH / hiddenSize));
  return twoDigits(lora * share(method));
}

export const twoDigits = (x: number) => Number(x.toPrecision(2));

function share(method: MethodShape): number {
  switch (method.type) {
    case 'lora':
      return 1;
    case 'mora':
      return method.moraType === 6 ? 1 : 0.5;
    case 'none':
      return 0.1;
    default:
      return method satisfies never;
  }
}
