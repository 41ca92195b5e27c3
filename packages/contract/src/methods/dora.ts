import { z } from 'zod';
import { LORA_KEYS, LORA_VALUES, loraOptions, resolveLora, unevenLora } from './lora.js';
import { defineMethod, sumOf } from './method.js';
import { PEFT, type StoredForm, type StoredOptions } from './stored.js';

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

export const doraForm = {
  ...PEFT,
  peftType: 'LORA',
  peftFlag: 'use_dora',
  options: (json, file) => ({ type: 'dora', ...loraOptions(json, file) }),
  untrainable: unevenLora,
} satisfies StoredForm<StoredOptions<DoraConfig>>;
