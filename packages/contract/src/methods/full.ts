import { z } from 'zod';
import { defineMethod, REFERENCE_WIDTH, WHOLE_VALUE } from './method.js';

/** Full fine-tuning: every weight of the base is trained, so there is no adapter. */
export const full = defineMethod({
  type: 'none',
  spellings: [],
  name: 'Full',
  note: ' for full fine-tuning',
  keys: {},
  shared: [],
  foreignHint: (_key, others) => `Leave it out: type 'none' trains every weight. Or set adapter.type to ${others}.`,
  config: z.strictObject({ type: z.literal('none'), ...WHOLE_VALUE }),
  resolve: () => ({ type: 'none' }),
  trainableParameters: (_config, _layers, total) => total,
  /** A tenth of LoRA's at the reference width (Schulman et al. 2025), and with 1 / width, as Adam on whole matrices needs (Yang et al. 2022). */
  learningRate: (_config, hiddenSize) => 0.1 * Math.sqrt(REFERENCE_WIDTH / hiddenSize),
  variants: [{ spelling: 'full', aliases: ['none'], request: { type: 'none' } }],
  kind: () => '',
  label: ({ modules_to_save }) => (modules_to_save === undefined ? 'full' : 'full, some modules'),
  color: 'full',
  withoutExport: (_config, format) =>
    format === 'native' || format === 'peft'
      ? 'Full fine-tuning changes the model itself, so there is no adapter beside it.'
      : null,
});
