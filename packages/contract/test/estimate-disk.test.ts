import { expect, test } from 'vitest';
import { estimateDisk } from '../src/plan/estimate-disk.js';

const run = {
  optimizer: { type: 'adamw', learning_rate: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weight_decay: 0, max_grad_norm: 1 },
  checkpoint: { every_steps: 10, every_seconds: 0, keep_last: 2 },
  trainable_parameters: 1_000,
} as const;

test('a run takes its checkpoints: values and two slots of AdamW, two that are kept and two under way', () => {
  // 4 bytes x 1000 numbers x (1 + 2 slots) x (2 + 2 checkpoints)
  expect(estimateDisk({ ...run, optimizer: { ...run.optimizer, betas: [0.9, 0.999] } })).toBe(48_000);
});

test('more checkpoints kept take more', () => {
  const optimizer = { ...run.optimizer, betas: [0.9, 0.999] as [number, number] };
  const of = (checkpoint: object) =>
    estimateDisk({ ...run, optimizer, checkpoint: { ...run.checkpoint, ...checkpoint } });
  expect(of({ keep_last: 8 })).toBe(120_000);
  expect(of({ keep_best: true })).toBe(60_000);
  expect(of({ keep_best: 4 })).toBe(96_000);
});
