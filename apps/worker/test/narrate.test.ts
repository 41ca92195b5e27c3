import { expect, test } from 'vitest';
import { createNarrator } from '../src/narrate.js';

test('a log has a step every five seconds, the last one always, and whatever else happens', () => {
  const narrate = createNarrator(30);
  const lines = Array.from({ length: 30 }, (_, at) =>
    narrate({
      type: 'metrics',
      step: at + 1,
      at: at * 1000,
      values: { train_loss: 1 / (at + 1), tokens_per_second: 812.345 },
    }),
  ).filter((line) => line !== null);
  expect(lines.map((line) => Number(/^step (\d+)/.exec(line)?.[1]))).toEqual([6, 11, 16, 21, 26, 30]);
  expect(lines[0]).toBe('step 6 of 30: loss 0.1667, gradient norm –, 812.3 tokens/s');
  expect(narrate({ type: 'metrics', step: 30, at: 99_000, values: { valid_loss: 1 } })).toBeNull();
  expect(narrate({ type: 'stopped', at: 1, reason: 'drain', step: 7, trainedTokens: 9 })).toBe(
    'stopped at step 7: drain',
  );
});
