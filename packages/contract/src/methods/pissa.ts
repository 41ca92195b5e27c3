import { z } from 'zod';
import { LORA_KEYS, LORA_VALUES, resolveLora } from './lora.js';
import { defineMethod, sumOf } from './method.js';

const PissaConfig = z.strictObject({ type: z.literal('pissa'), ...LORA_VALUES });
export type PissaConfig = z.output<typeof PissaConfig>;

/** PiSSA (Meng et al. 2024, arXiv:2404.02948): a LoRA that starts as the largest singular values and vectors of the weight. */
export const pissa = defineMethod({
  type: 'pissa',
  spellings: [],
  name: 'PiSSA',
  keys: LORA_KEYS,
  shared: ['rank', 'dropout', 'target_modules'],
  config: PissaConfig,
  resolve: (request, match) => ({ type: 'pissa', ...resolveLora(request, match) }),
  trainableParameters: ({ rank }, layers) => sumOf(layers, ({ inDim, outDim }) => (inDim + outDim) * rank),
  keptParameters: ({ rank }, layers) => sumOf(layers, ({ inDim, outDim }) => (inDim + outDim) * rank),
  // Both factors are large from the first step on, where LoRA's B is zero.
  learningRate: () => 0.5,
  variants: [{ spelling: 'pissa', request: { type: 'pissa' } }],
  kind: () => '',
  label: ({ rank }) => `pissa r${rank}`,
  color: 'pissa',
  withoutExport: () => null,
});
