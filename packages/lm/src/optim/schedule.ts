import type { RunConfig } from '@moraine/contract';

/** Learning rate over a run: linear warm-up from 0, then the shape of `type` down to `minRatio` of the peak. */
export interface Schedule {
  type: RunConfig['schedule']['type'];
  /** Peak learning rate. */
  learningRate: number;
  /** Steps of warm-up; step k of them runs at peak · k / warmupSteps (k from 1). */
  warmupSteps: number;
  /** Steps of the whole run, warm-up included. */
  totalSteps: number;
  /** Rate at the end as a share of the peak. */
  minRatio: number;
  /** Last steps of `inverse_sqrt`, on a line. */
  cooldownSteps?: number | undefined;
  /** Every so many steps the rate warms up anew, over so many. */
  restart?: { every: number; warmupSteps: number } | undefined;
}

/**
 * Learning rate of a step; `step` counts from 1. The decay begins at the first step after warm-up and ends after the last step. In the warm-up
 * after a restart the rate rises on a line to what the shape is at its end (arXiv:2405.12130's scheduler of restarts).
 */
export function learningRateAt(schedule: Schedule, step: number): number {
  const { learningRate, warmupSteps, restart } = schedule;
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps;
  const since = restart === undefined ? step : ((step - 1) % restart.every) + 1;
  if (restart === undefined || since === step || since > restart.warmupSteps)
    return learningRate * shareAt(schedule, step);
  return learningRate * (since / restart.warmupSteps) * shareAt(schedule, step - since + restart.warmupSteps);
}

/** The share of the peak at a step, restarts aside. */
function shareAt(schedule: Schedule, step: number): number {
  const { type, warmupSteps, totalSteps, minRatio } = schedule;
  if (step <= warmupSteps) return step / warmupSteps;
  const progress = Math.min(1, (step - 1 - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  switch (type) {
    case 'constant':
      return 1;
    case 'linear':
      return minRatio + (1 - minRatio) * (1 - progress);
    case 'cosine':
    case 'jagged':
      return minRatio + (1 - minRatio) * 0.5 * (1 + Math.cos(Math.PI * progress));
    case 'inverse_sqrt':
      return inverseRoot(schedule, step - 1);
    default:
      return type satisfies never;
  }
}

/**
 * 1 / sqrt of the steps done since warm-up, counted in warm-ups, then the cool-down's line (llm-foundry's schedule, which the runs of
 * arXiv:2405.09673 used with t_scale = t_warmup).
 */
function inverseRoot({ warmupSteps, totalSteps, minRatio, cooldownSteps = 0 }: Schedule, done: number): number {
  const scale = Math.max(1, warmupSteps);
  const root = (steps: number) => minRatio + (1 - minRatio) / Math.sqrt((steps - warmupSteps + scale) / scale);
  const begin = totalSteps - cooldownSteps;
  if (cooldownSteps === 0 || done < begin) return root(done);
  const share = Math.min(1, (done - begin) / cooldownSteps);
  return root(begin) * (1 - share) + minRatio * share;
}
