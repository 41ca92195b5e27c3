import { expect, test } from 'vitest';
import type { RunConfig } from '../src/index.js';
import { adviseMode } from '../src/plan/index.js';

const lora: RunConfig['adapter'] = {
  type: 'lora',
  rank: 8,
  alpha: 16,
  use_rslora: false,
  dropout: 0,
  target_modules: ['model.layers.0.self_attn.q_proj'],
};
const run = { mode: 'plain', adapter: lora } as const;

test('a run in plain is advised to take bf16 where the processor multiplies it', () => {
  const advice = adviseMode(run, 15_000_000, 'avx512_bf16');
  expect(advice).toMatchObject({ param: 'mode', value: 'bf16', speedup: [1.2, 1.6] });
  expect(advice?.message).toContain('(avx512_bf16)');
});

test.each([
  ['the processor does not multiply it', run, 15_000_000, null],
  ['the base is smaller than what was measured', run, 1_000_000, 'avx512_bf16'],
  ['the run has another mode', { ...run, mode: 'bf16' as const }, 15_000_000, 'avx512_bf16'],
  ['no matrix is frozen', { ...run, adapter: { type: 'none' as const } }, 15_000_000, 'avx512_bf16'],
])('nothing is advised where %s', (_why, config, parameters, bfloat16) => {
  expect(adviseMode(config, parameters, bfloat16)).toBeNull();
});
