// Expected losses: recorded by the run that made the weights in examples/base.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { loadLatestCheckpoint, saveCheckpoint } from '../base-checkpoint.js';
import {
  createBaseTrainer,
  firstRows,
  recipeHash,
  replayBase,
  replayDifference,
  trainBaseStep,
} from '../base-training.js';

test('the first twenty steps of the base repeat their recorded losses', { timeout: 300_000 }, async () => {
  const text = await readFile(join(import.meta.dirname, '../../../examples/base/first-steps.json'), 'utf8');
  const { losses } = JSON.parse(text) as { losses: number[] };
  expect(losses).toHaveLength(20);
  expect(replayDifference(await replayBase(20), losses)).toBeNull();
});

test('a difference is reported with its step and values', () => {
  expect(replayDifference([6.9, 6.8], [6.9, 6.7])).toBe('Step 2: loss 6.800000, recorded 6.700000, tolerance 0.002.');
  expect(replayDifference([6.9, 6.8], [6.9])).toContain('Only 1 losses are recorded');
});

test('training stopped and resumed repeats the uninterrupted losses exactly', { timeout: 300_000 }, async () => {
  const folder = await mkdtemp(join(tmpdir(), 'moraine-base-'));
  try {
    const train = firstRows(4);
    const whole = await createBaseTrainer();
    const losses = [1, 2, 3, 4].map(() => trainBaseStep(whole, train).loss);
    whole.dispose();

    const before = await createBaseTrainer();
    trainBaseStep(before, train);
    trainBaseStep(before, train);
    await saveCheckpoint(folder, before.state(), recipeHash());
    before.dispose();
    const after = await createBaseTrainer();
    const state = await loadLatestCheckpoint(folder, recipeHash());
    if (!state) throw new Error('no checkpoint was found');
    after.load(state);
    expect([trainBaseStep(after, train).loss, trainBaseStep(after, train).loss]).toEqual(losses.slice(2));
    after.dispose();

    await expect(loadLatestCheckpoint(folder, 'another')).rejects.toThrow('another recipe');
  } finally {
    await rm(folder, { recursive: true });
  }
});
