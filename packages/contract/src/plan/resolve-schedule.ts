import type { z } from 'zod';
import { AppError } from '../errors.js';
import type { MethodConfig } from '../methods/registry.js';
import type { RunConfig } from '../run-config.js';
import type { ScheduleRequest } from '../run-request.js';

export const WARMUP_RATIO_AUTO = 0.03;
/** Where the restarts of the papers' runs end, as a share of the peak. */
const JAGGED_MIN_RATIO = 0.1;

/**
 * The learning rate's shape over `steps` with the defaults of its type.
 * @throws AppError `invalid_value` for keys that exclude each other, belong to another type, or are longer than the run.
 */
export function resolveSchedule(
  request: z.output<typeof ScheduleRequest>,
  steps: number,
  adapter: MethodConfig,
): RunConfig['schedule'] {
  const restart = 'restart' in adapter ? adapter.restart : undefined;
  const restarts = restart !== undefined;
  if (restart !== undefined && restart.every >= steps)
    throw invalid(
      'adapter.restart.every',
      `${restart.every}, but the run has ${steps} steps, so the adapter would never start again`,
      'Take fewer than the steps, or leave adapter.restart out.',
    );
  const { type = restarts ? 'jagged' : 'cosine', warmup_ratio: ratio, cooldown_steps: cooldown } = request;
  if (type === 'jagged' && !restarts)
    throw invalid('schedule.type', 'jagged, but adapter.restart is not set', 'Set adapter.restart, or take cosine.');
  const warmup = resolveWarmup(request.warmup_steps, ratio, steps);
  if (cooldown !== undefined && type !== 'inverse_sqrt')
    throw invalid(
      'schedule.cooldown_steps',
      `${cooldown}, but schedule.type ${type} has none`,
      "Leave it out, or set schedule.type to 'inverse_sqrt'.",
    );
  if (cooldown !== undefined && cooldown + warmup > steps)
    throw invalid(
      'schedule.cooldown_steps',
      `${cooldown}, but the run has ${steps} steps, ${warmup} of them warm-up`,
      `Take at most ${steps - warmup}.`,
    );
  const min_ratio = request.min_ratio ?? (type === 'jagged' ? JAGGED_MIN_RATIO : 0);
  return {
    type,
    warmup_steps: warmup,
    min_ratio,
    ...(cooldown === undefined || cooldown === 0 ? {} : { cooldown_steps: cooldown }),
  };
}

/** A schedule on fewer steps than it was made for: the cool-down takes what warm-up leaves. */
export function fitSchedule(schedule: RunConfig['schedule'], steps: number): RunConfig['schedule'] {
  const { cooldown_steps: cooldown, ...rest } = schedule;
  return cooldown === undefined ? rest : { ...rest, cooldown_steps: Math.min(cooldown, steps - rest.warmup_steps) };
}

function resolveWarmup(asked: number | undefined, ratio: number | undefined, steps: number): number {
  if (asked !== undefined && ratio !== undefined)
    throw invalid('schedule.warmup_ratio', `${ratio}, but schedule.warmup_steps is ${asked}`, 'Give one of them.');
  if (asked !== undefined && asked > steps)
    throw invalid(
      'schedule.warmup_steps',
      `${asked}, but the run has ${steps} steps`,
      `Take at most ${steps}, or use schedule.warmup_ratio.`,
    );
  return asked ?? Math.round((ratio ?? WARMUP_RATIO_AUTO) * steps);
}

const invalid = (param: string, problem: string, hint: string): AppError =>
  new AppError('invalid_value', `'${param}' is ${problem}.`, { param, hint });
