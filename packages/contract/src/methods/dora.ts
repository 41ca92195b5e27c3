import { z } from 'zod';
import { LORA_KEYS, LORA_VALUES, resolveLora } from './lora.js';
import { defineMethod, sumOf } from './method.js';

const DoraConfig = z.strictObject({ type: z.literal('dora'), ...LORA_VALUES });
export type DoraConfig = z.output<typeof DoraConfig>;

/** DoRA (Liu et al. 2024, arXiv:2402.09353): LoRA for the direction of the weight, and the length of each of its rows trained beside it. */
export const dora = defineMethod({
  type: 'dora',
  spellings: [],
  name: 'DoRA',
  keys: LORA_KEYS,
  shared: ['rank', 'dropout', 'target_modules'],
  config: DoraConfig,
  resolve: (request, match) => ({ type: 'dora', ...resolveLora(request, match) }),
  trainableParameters: ({ rank }, layers) => sumOf(layers, ({ inDim, outDim }) => (inDim + outDim) * rank + outDim),
  learningRate: () => 1,
  variants: [{ spelling: 'dora', request: { type: 'dora' } }],
  kind: () => '',
  label: ({ rank }) => `dora r${rank}`,
  color: 'dora',
  withoutExport: () => null,
});
