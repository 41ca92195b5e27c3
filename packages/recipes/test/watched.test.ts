import type { RunConfig } from '@moraine/contract';
import { describe, expect, it } from 'vitest';
import { earlyEnd, isAmongBest, UNWATCHED, watchValidation } from '../src/watched.js';

const configOf = (patience: number, min_delta = 0) =>
  ({ steps: 100, early_stopping: { patience, min_delta }, checkpoint: {} }) as unknown as RunConfig;

/** The step at which losses, validated every ten steps, end a run, and its best step. */
function follow(losses: readonly number[], config: RunConfig): { end: number | null; best: number | undefined } {
  let watched = UNWATCHED;
  for (const [i, loss] of losses.entries()) {
    const step = 10 * (i + 1);
    watched = watchValidation(watched, { step, loss }, config);
    if (earlyEnd(watched, step, config) !== null) return { end: step, best: watched.best?.step };
  }
  return { end: null, best: watched.best?.step };
}

describe('a run with early stopping', () => {
  it.each([
    ['ends after as many evaluations without an improvement as it has patience', [3, 2, 2.5, 2.4], 2, 0, 40, 20],
    ['goes on when an improvement comes in time', [3, 3.1, 2, 2.1, 1], 2, 0, null, 50],
    ['counts an equal loss as no improvement, and takes the later one for the best', [2, 2, 2], 2, 0, 30, 30],
    ['counts no improvement that is not larger than min_delta', [3, 2.9, 2.8], 2, 0.5, 30, 30],
    ['adds small improvements up until they are one', [3, 2.8, 2.6, 2.4], 3, 0.5, null, 40],
    ['takes an improvement of min_delta exactly for none', [3, 2.5, 2.25], 1, 0.5, 20, 20],
    ['keeps the lowest loss as the best, improvement or not', [3, 2.9, 2.95, 2.97], 3, 0.5, 40, 20],
    ['counts a loss that is no number as no improvement', [3, Number.NaN, Number.NaN, 1], 2, 0, 30, 10],
    ['goes on from a first loss that is no number', [Number.NaN, 3, 2], 2, 0, null, 30],
  ])('%s', (_what, losses, patience, minDelta, end, best) => {
    expect(follow(losses, configOf(patience, minDelta))).toEqual({ end, best });
  });

  it('says at which step it ended and why', () => {
    const at = { step: 20, loss: 1.5 };
    const sentence = (watched: Partial<typeof UNWATCHED>, config: RunConfig) =>
      earlyEnd({ ...UNWATCHED, improved: at, ...watched }, 40, config);
    expect(sentence({ without: 2 }, configOf(2, 0.01))).toBe(
      'Stopped early at step 40 of 100: in the last 2 evaluations the validation loss did not fall below 1.5000 (step 20) by more than 0.01.',
    );
    expect(sentence({ without: 1 }, configOf(1))).toMatch(/in the last evaluation the .* below 1\.5000 \(step 20\)\.$/);
    expect(sentence({ improved: null, without: 2 }, configOf(2))).toMatch(/the validation loss was no number\.$/);
  });

  it('has not ended early at its last step', () => {
    expect(earlyEnd({ ...UNWATCHED, without: 9 }, 100, configOf(2))).toBeNull();
  });
});

it('a run without early stopping never ends early, and knows its best', () => {
  expect(follow([3, 4, 5, 6, 7, 8], { steps: 100, checkpoint: {} } as RunConfig)).toEqual({ end: null, best: 10 });
});

describe('the best checkpoints of a run', () => {
  /** Steps, ten apart, at which one is saved for its validation loss. */
  const savedOf = (losses: readonly number[], keep_best: boolean | number, watched = UNWATCHED) => {
    const config = { ...configOf(9), checkpoint: { keep_best } } as unknown as RunConfig;
    return losses.flatMap((loss, i) => {
      const step = 10 * (i + 1);
      watched = watchValidation(watched, { step, loss }, config);
      return isAmongBest(watched, step, config) ? [step] : [];
    });
  };
  const LOSSES = [3, 2, 2.5, 2, 2.2, Number.NaN, 1];

  it.each([
    ['none', false, []],
    ['each that no other is better than so far', true, [10, 20, 40, 70]],
    ['each that is the best so far, one of which is to be kept', 1, [10, 20, 40, 70]],
    ['each that is among the two best so far, the later of equal ones', 2, [10, 20, 30, 40, 70]],
    ['each that is among the three best so far', 3, [10, 20, 30, 40, 50, 70]],
  ])('are saved at %s', (_what, keepBest, steps) => {
    expect(savedOf(LOSSES, keepBest)).toEqual(steps);
  });

  it('are counted on from the one that a checkpoint of an earlier version knows', () => {
    const known = { best: { step: 5, loss: 1 }, improved: null, without: 0 };
    expect(savedOf([3, 4, 2], 2, known)).toEqual([10, 30]);
  });

  it('say nothing more in a checkpoint where one is kept', () => {
    const config = { ...configOf(9), checkpoint: { keep_best: true } } as unknown as RunConfig;
    expect(watchValidation(UNWATCHED, { step: 1, loss: 1 }, config)).not.toHaveProperty('lowest');
  });
});
