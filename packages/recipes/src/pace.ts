import type { EvaluationDuring, RunConfig } from '@moraine/contract';

/** Evaluations a run gets when the request leaves their number to us. */
const EVALUATIONS = 10;

/** Whether the validation file is evaluated after this step. The last step always is. */
export function evaluatesAt(step: number, { steps, evaluation }: RunConfig): boolean {
  const every = evaluation.every_steps > 0 ? evaluation.every_steps : Math.max(1, Math.ceil(steps / EVALUATIONS));
  return step === steps || step % every === 0;
}

/** Places of the evaluation files that are due after a step on the way, where that is one to evaluate after (`steps`) or to save a checkpoint after (`checkpoints`). */
export function filesDuring(
  { evaluation: { files, during = {} } }: Pick<RunConfig, 'evaluation'>,
  after: Record<EvaluationDuring, boolean>,
): number[] {
  return files.flatMap((file, at) => {
    const when = during[file];
    return when !== undefined && after[when] ? [at] : [];
  });
}

/** The step whose checkpoint the resume is checked from at the latest: a tenth of the run before its end, at most 100 steps. */
export const verifiesFrom = (steps: number): number => steps - Math.min(100, Math.ceil(steps / 10));

/** Whether a resumable checkpoint is written after this step: by count, or by time since the last. The last step always is. */
export function checkpointsAt(step: number, secondsSinceLast: number, config: RunConfig): boolean {
  const { steps, checkpoint, verify_resume } = config;
  if (step === steps || (verify_resume === true && step === verifiesFrom(steps))) return true;
  if (checkpoint.every_steps > 0) return step % checkpoint.every_steps === 0;
  return checkpoint.every_seconds > 0 && secondsSinceLast >= checkpoint.every_seconds;
}
