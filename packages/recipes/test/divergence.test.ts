import { expect, test } from 'vitest';
import { describePlaces, watchLoss } from '../src/divergence.js';

/** The step at which a run of these losses ends; null where it comes to its end. */
function endOf(losses: readonly number[], vocabSize = 1024, before = 0): number | null {
  const watch = watchLoss(vocabSize, losses.slice(0, before));
  for (const [i, loss] of losses.entries()) {
    if (i < before) continue;
    try {
      watch.saw({ step: i + 1, loss, gradNorm: 1, learningRate: 1 });
    } catch (error) {
      expect(error).toMatchObject({ code: 'loss_diverged' });
      return i + 1;
    }
  }
  return null;
}
const times = (count: number, loss: number): number[] => Array.from({ length: count }, () => loss);

// Guessing among 1,024 tokens is 6.93 nats, one and a half of that 10.4; twice 8 and a nat is 17.
test('a run ends once the median of eight losses is far above the beginning and above guessing', () => {
  expect(endOf([...times(8, 8), ...times(20, 18)])).toBe(16);
  expect(endOf([...times(8, 8), ...times(20, 16.9)])).toBeNull();
  expect(endOf([...times(8, 1), ...times(20, 10.5)])).toBe(16);
  expect(endOf([...times(8, 1), ...times(20, 10.3)])).toBeNull();
  // Four high losses of eight are no median.
  expect(endOf([...times(8, 2), ...times(8, 2), ...times(3, 500), ...times(20, 2)])).toBeNull();
});

test('a run whose weights start far above guessing goes on while it does not rise', () => {
  expect(endOf([...times(8, 30), ...times(30, 29)])).toBeNull();
});

test('a loss that rises within the first eight steps is measured from the first', () => {
  expect(endOf([2, 40, 90, 200, 400, 800, 900, 990, ...times(8, 1000)])).toBe(16);
});

test('a run that goes on from a checkpoint ends where it would have ended', () => {
  const losses = [...times(8, 2), ...times(5, 3), ...times(30, 400)];
  const end = endOf(losses);
  for (const before of [1, 5, 8, 10, 14, 16]) expect(endOf(losses, 1024, before)).toBe(end);
});

test('rows are named by the lines of their files', () => {
  const rows = (...lines: number[]) =>
    lines.map((line) => ({ ids: [], labels: [], promptLength: 0, supervisedTokens: 0, isTruncated: false, line }));
  const files = [rows(1, 3, 3, 9), rows(2, 5)];
  expect(describePlaces(files, ['the training file', 'more.jsonl'], [3, 1, 2, 5])).toBe(
    'lines 3, 9 of the training file; line 5 of more.jsonl',
  );
  const [many] = [rows(...Array.from({ length: 20 }, (_, i) => i + 1))];
  expect(describePlaces([many], ['the training file'], [...many.keys()])).toMatch(
    / 15, 16 and 4 more of the training file$/,
  );
});
