import type { z } from 'zod';
import { AppError } from '../errors.js';
import { CheckpointRequest, type CreateRunRequest, type RunConfig } from '../run-config.js';

const CHECKPOINT_AUTO = CheckpointRequest.parse({});

/**
 * Which checkpoints a run keeps and whether it may end early; both follow its validations.
 * @throws AppError where a key asks for what the run has no validations, or too few, for.
 */
export function resolveBest(
  {
    checkpoint = CHECKPOINT_AUTO,
    early_stopping: stopping,
  }: Pick<z.output<typeof CreateRunRequest>, 'checkpoint' | 'early_stopping'>,
  { validates, validations }: { validates: boolean; validations: number },
): Pick<RunConfig, 'checkpoint' | 'early_stopping'> {
  if (checkpoint.keep_best === true && !validates) throw withoutValidation('checkpoint.keep_best');
  const keep_best = checkpoint.keep_best ?? validates;
  if (!stopping) return { checkpoint: { ...checkpoint, keep_best } };
  if (!validates) throw withoutValidation('early_stopping');
  if (!keep_best) {
    throw new AppError('invalid_value', "'checkpoint.keep_best' is false, but early_stopping ends with the best.", {
      param: 'checkpoint.keep_best',
      hint: 'Leave keep_best out, or leave early_stopping out.',
    });
  }
  if (validations < 2) {
    throw new AppError(
      'invalid_value',
      "'early_stopping' compares evaluations, but this run has one, after its last step.",
      { param: 'evaluation.every_steps', hint: 'Lower evaluation.every_steps, or train for more steps.' },
    );
  }
  return { early_stopping: stopping, checkpoint: { ...checkpoint, keep_best } };
}

const withoutValidation = (param: string): AppError =>
  new AppError('invalid_value', `'${param}' follows the validation loss, but there is no validation file.`, {
    param,
    hint: 'Name one as validation_file (on the command line --valid), or leave the key out.',
  });
