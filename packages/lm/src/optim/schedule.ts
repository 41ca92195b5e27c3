/** Learning rate over a run: linear warm-up from 0, then constant, a line or half a cosine down to `minRatio` of the peak. */
export interface Schedule {
  type: 'constant' | 'linear' | 'cosine';
  /** Peak learning rate. */
  learningRate: number;
  /** Steps of warm-up; step k of them runs at peak · k / warmupSteps (k from 1). */
  warmupSteps: number;
  /** Steps of the whole run, warm-up included. */
  totalSteps: number;
  /** Rate at the end as a share of the peak. */
  minRatio: number;
}

/** Learning rate of a step; `step` counts from 1. The decay begins at the first step after warm-up and ends after the last step. */
export function learningRateAt(schedule: Schedule, step: number): number {
  const { type, learningRate, warmupSteps, totalSteps, minRatio } = schedule;
  if (step <= warmupSteps) return (learningRate * step) / warmupSteps;
  const progress = Math.min(1, (step - 1 - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  switch (type) {
    case 'constant':
      return learningRate;
    case 'linear':
      return learningRate * (minRatio + (1 - minRatio) * (1 - progress));
    case 'cosine':
      return learningRate * (minRatio + (1 - minRatio) * 0.5 * (1 + Math.cos(Math.PI * progress)));
    default:
      return type satisfies never;
  }
}
