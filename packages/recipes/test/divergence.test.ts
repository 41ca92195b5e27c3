import { expect, test } from 'vitest';
import { watchLoss } from '../src/divergence.js';
import { describePlaces } from '../src/explain-step.js';

/** The step at which a run of these losses ends; null where it comes to its end. */
function endOf(losses: readonly number[], { vocabSize = 1024, tokens = 100, before = 0 } = {}): number | null {
  const watch = watchLoss(vocabSize, tokens, losses.slice(0, before));
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

// Guessing among 1,024 tokens is 6.93 nats; twice 4 and a nat is 9.
test('a run ends once the median of eight losses is above guessing and far above its beginning, and does not fall', () => {
  expect(endOf([...times(16, 4), ...times(20, 9.1)])).toBe(21);
  expect(endOf([...times(16, 4), ...times(20, 8.9)])).toBeNull();
  expect(endOf([...times(16, 1), ...times(20, 7)])).toBe(21);
  expect(endOf([...times(16, 1), ...times(20, 6.9)])).toBeNull();
  // Four high losses of eight are no median.
  expect(endOf([...times(16, 2), ...times(3, 500), ...times(20, 2)])).toBeNull();
});

test('a run whose weights start far above guessing goes on, and so does one that falls from where it rose to', () => {
  expect(endOf([...times(8, 30), ...times(30, 29)])).toBeNull();
  expect(
    endOf([0.01, ...times(7, 6), ...Array.from({ length: 40 }, (_, i) => 6 - i / 20)], { vocabSize: 10 }),
  ).toBeNull();
});

// Three times guessing is 20.8 nats.
test('a loss that jumps with the first steps ends the run, though it falls from there', () => {
  expect(endOf([6, 287, 417, 4511, 1406, 655, 3501, 2058, ...times(20, 900)])).toBe(16);
  expect(endOf([6, 287, 417, 4511, 1406, 655, 3501, 2058, ...times(20, 20)])).toBeNull();
  // Of few tokens the first step is no beginning.
  expect(endOf([6, ...times(40, 30), ...times(600, 29)], { tokens: 4 })).toBeNull();
});

// Losses of one token a step, drawn from nothing that learns: logits of standard deviation 8 over few tokens.
test('a few tokens a step decide nothing, however their losses jump', () => {
  let state = 7;
  const uniform = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  const normal = (): number => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
  const loss = (vocabSize: number): number => {
    const logits = Array.from({ length: vocabSize }, () => 8 * normal());
    const most = Math.max(...logits);
    return most + Math.log(logits.reduce((sum, one) => sum + Math.exp(one - most), 0)) - (logits[0] ?? 0);
  };
  for (const vocabSize of [5, 10, 30])
    for (let run = 0; run < 20; run += 1) {
      const losses = Array.from({ length: 1000 }, () => loss(vocabSize));
      expect(endOf(losses, { vocabSize, tokens: 1 })).toBeNull();
    }
});

test('a run that goes on from a checkpoint ends where it would have ended', () => {
  const losses = [...times(8, 2), ...times(12, 3), ...times(30, 400)];
  const end = endOf(losses);
  expect(end).toBe(24);
  for (const before of [1, 8, 16, 22, 23]) expect(endOf(losses, { before })).toBe(end);
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
