import { expect, test } from 'vitest';
import { createNarrator } from '../src/narrate.js';

test('a log of an evaluation says how far it is, every five seconds and at the end, and that it made no files', () => {
  const narrate = createNarrator(0);
  const device = { kind: 'cpu' as const, name: 'cpu', tensorflow: '2', threads: 1 };
  const asked = { from: 64, total: 192, itemsSha256: '', fewshot: 0, secondsToReady: 1.5 };
  expect(narrate({ type: 'evaluating', at: 0, device, ...asked })).toBe(
    'ready after 1.5 s on cpu (TensorFlow 2, 1 threads): 192 items, from 64',
  );
  const item = { id: '1', prompt: '', answer: null, expected: null, metrics: {}, verdict: null };
  const lines = [64, 128, 191].map((index, i) =>
    narrate({ type: 'items', at: 6_000 + i, items: [{ ...item, index }] }),
  );
  expect(lines).toEqual(['item 65 of 192', null, 'item 192 of 192']);
  const end = { at: 9, step: 192, trainedTokens: 0, resultStep: 192, stoppedEarly: null, exports: [], resultFile: '' };
  expect(narrate({ type: 'finished', ...end })).toBe('finished at step 192');
});

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
