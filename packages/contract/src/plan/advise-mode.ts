import type { Advice } from '../before-run.js';
import type { RunConfig } from '../run-config.js';

/** What was measured of mode `bf16` against `plain` on processors that multiply bfloat16: docs/engine.md has the figures and commands. */
const BF16_SPEEDUP: [number, number] = [1.2, 1.6];
/** Smaller bases were not measured to gain. */
const BF16_PARAMETERS_MIN = 10_000_000;

/**
 * The mode that would train this run faster on a device, null where none is known to. `parameters` is the number of all weights of the
 * base; `bfloat16` the instruction set of the device that multiplies it. Full fine-tuning freezes no matrix, so that nothing is gained.
 */
export function adviseMode(
  { mode, adapter }: Pick<RunConfig, 'mode' | 'adapter'>,
  parameters: number,
  bfloat16: string | null,
): Advice | null {
  if (mode !== 'plain' || bfloat16 === null || parameters < BF16_PARAMETERS_MIN) return null;
  if (!('target_modules' in adapter)) return null;
  const [from, to] = BF16_SPEEDUP;
  return {
    param: 'mode',
    value: 'bf16',
    speedup: BF16_SPEEDUP,
    message: `The processor multiplies bfloat16 (${bfloat16}): with mode 'bf16' steps were ${from} to ${to} times as fast, and losses differed by less than 0.001. A run keeps the mode that it begins with.`,
  };
}
