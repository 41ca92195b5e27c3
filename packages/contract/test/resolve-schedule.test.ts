import { expect, test } from 'vitest';
import type { MethodConfig } from '../src/index.js';
import { fitSchedule, resolveSchedule } from '../src/plan/resolve-schedule.js';

const plain = { type: 'none' } as const satisfies MethodConfig;
const restarting: MethodConfig = {
  type: 'lora',
  rank: 4,
  alpha: 8,
  use_rslora: false,
  dropout: 0,
  target_modules: ['a'],
  restart: { every: 20, warmup: 5 },
};

test.each([
  ['a cosine to nothing by default', {}, plain, { type: 'cosine', warmup_steps: 3, min_ratio: 0 }],
  ['jagged to a tenth with restarts', {}, restarting, { type: 'jagged', warmup_steps: 3, min_ratio: 0.1 }],
  [
    'another shape where it is asked for',
    { type: 'linear', min_ratio: 0.2 },
    restarting,
    { type: 'linear', warmup_steps: 3, min_ratio: 0.2 },
  ],
  [
    'a root with its cool-down',
    { type: 'inverse_sqrt', warmup_steps: 10, cooldown_steps: 20 },
    plain,
    { type: 'inverse_sqrt', warmup_steps: 10, min_ratio: 0, cooldown_steps: 20 },
  ],
  [
    'no cool-down written where there is none',
    { type: 'inverse_sqrt', cooldown_steps: 0 },
    plain,
    { type: 'inverse_sqrt', warmup_steps: 3, min_ratio: 0 },
  ],
] as const)('a schedule of 100 steps is %s', (_, request, adapter, expected) => {
  expect(resolveSchedule(request, 100, adapter)).toEqual(expected);
});

test.each([
  [{ type: 'jagged' }, 'schedule.type', 'jagged, but adapter.restart is not set'],
  [{ type: 'cosine', cooldown_steps: 5 }, 'schedule.cooldown_steps', '5, but schedule.type cosine has none'],
  [
    { type: 'inverse_sqrt', warmup_steps: 60, cooldown_steps: 41 },
    'schedule.cooldown_steps',
    '41, but the run has 100 steps, 60 of them warm-up',
  ],
  [{ warmup_steps: 101 }, 'schedule.warmup_steps', '101, but the run has 100 steps'],
  [{ warmup_steps: 1, warmup_ratio: 0.1 }, 'schedule.warmup_ratio', '0.1, but schedule.warmup_steps is 1'],
] as const)('%j is refused', (request, param, problem) => {
  expect(() => resolveSchedule(request, 100, plain)).toThrow(
    expect.objectContaining({ param, message: expect.stringContaining(problem) }),
  );
});

test('a restart that would never come is refused', () => {
  expect(resolveSchedule({}, 21, restarting).type).toBe('jagged');
  expect(() => resolveSchedule({}, 20, restarting)).toThrow(
    expect.objectContaining({
      param: 'adapter.restart.every',
      message: "'adapter.restart.every' is 20, but the run has 20 steps, so the adapter would never start again.",
    }),
  );
});

test('on fewer steps the cool-down takes what warm-up leaves', () => {
  const schedule = { type: 'inverse_sqrt', warmup_steps: 10, min_ratio: 0, cooldown_steps: 20 } as const;
  expect(fitSchedule(schedule, 40)).toEqual(schedule);
  expect(fitSchedule(schedule, 25)).toEqual({ ...schedule, cooldown_steps: 15 });
});
