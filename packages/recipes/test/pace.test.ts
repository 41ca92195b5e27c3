import { describe, expect, it } from 'vitest';
import { checkpointsAt, evaluatesAt } from '../src/pace.js';
import { specOf } from './tiny-base.js';

const { config } = specOf('base', 'rows', { type: 'none' });
const withEvaluation = (steps: number, every_steps: number) => ({
  ...config,
  steps,
  evaluation: { ...config.evaluation, every_steps },
});
const withCheckpoint = (steps: number, checkpoint: Partial<typeof config.checkpoint>) => ({
  ...config,
  steps,
  checkpoint: { ...config.checkpoint, every_steps: 0, every_seconds: 0, ...checkpoint },
});
const stepsOf = (steps: number, isAsked: (step: number) => boolean): number[] =>
  Array.from({ length: steps }, (_, i) => i + 1).filter(isAsked);

describe('the validation file is evaluated', () => {
  it.each([
    ['every so many steps and at the last', 10, 4, [4, 8, 10]],
    ['once when the number of steps is smaller than the distance', 3, 100, [3]],
    ['after every step when asked', 4, 1, [1, 2, 3, 4]],
    ['ten times when nobody says', 100, 0, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]],
    ['after every step of a short run when nobody says', 5, 0, [1, 2, 3, 4, 5]],
    ['at most ten times, rounded up, when nobody says', 25, 0, [3, 6, 9, 12, 15, 18, 21, 24, 25]],
  ])('%s', (_what, steps, every, wanted) => {
    expect(stepsOf(steps, (step) => evaluatesAt(step, withEvaluation(steps, every)))).toEqual(wanted);
  });
});

describe('a checkpoint is written', () => {
  it('every so many steps, and at the last', () => {
    const wanted = withCheckpoint(11, { every_steps: 5 });
    expect(stepsOf(11, (step) => checkpointsAt(step, 0, wanted))).toEqual([5, 10, 11]);
  });

  it('when so many seconds have passed since the one before, not earlier', () => {
    const wanted = withCheckpoint(11, { every_seconds: 60 });
    expect(checkpointsAt(3, 59.9, wanted)).toBe(false);
    expect(checkpointsAt(3, 60, wanted)).toBe(true);
  });

  it('by count alone when both are asked for', () => {
    const wanted = withCheckpoint(11, { every_steps: 5, every_seconds: 60 });
    expect(checkpointsAt(4, 1000, wanted)).toBe(false);
    expect(checkpointsAt(5, 0, wanted)).toBe(true);
  });

  it('at the last step only when neither is asked for', () => {
    const wanted = withCheckpoint(11, {});
    expect(stepsOf(11, (step) => checkpointsAt(step, 1e6, wanted))).toEqual([11]);
  });
});
