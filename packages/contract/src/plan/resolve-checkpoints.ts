import type { z } from 'zod';
import { AppError } from '../errors.js';
import type { RunConfig } from '../run-config.js';
import { CheckpointRequest, type CreateRunRequest } from '../run-request.js';

type RunRequest = Pick<z.output<typeof CreateRunRequest>, 'checkpoint' | 'early_stopping' | 'verify_resume'>;
type ResolvedCheckpoints = Pick<RunConfig, 'checkpoint' | 'early_stopping' | 'verify_resume'>;

/** What a run has: a validation file, times that it is evaluated, steps. */
interface Facts {
  validates: boolean;
  validations: number;
  steps: number;
}

const CHECKPOINT_AUTO = CheckpointRequest.parse({});

/**
 * Which checkpoints a run keeps, whether it may end early and whether its resume is checked.
 * @throws AppError where a key asks for what the run has no validations, steps or checkpoints for, or too few.
 */
export function resolveCheckpoints(request: RunRequest, facts: Facts): ResolvedCheckpoints {
  const { verify_resume } = request;
  const resolved = resolveBest(request, facts);
  if (verify_resume !== true) return resolved;
  const tooFew = (param: string, problem: string, hint: string): AppError =>
    new AppError('invalid_value', `'verify_resume' repeats the steps between two checkpoints, but ${problem}.`, {
      param,
      hint,
    });
  if (facts.steps < 2) throw tooFew('verify_resume', 'this run has one step', 'Train for more steps, or leave it out.');
  if (resolved.checkpoint.keep_last < 2)
    throw tooFew('checkpoint.keep_last', 'checkpoint.keep_last is 1', 'Keep 2 at least, or leave verify_resume out.');
  return { ...resolved, verify_resume };
}

function resolveBest(
  {
    checkpoint = CHECKPOINT_AUTO,
    early_stopping: stopping,
  }: Pick<z.output<typeof CreateRunRequest>, 'checkpoint' | 'early_stopping'>,
  { validates, validations }: Facts,
): ResolvedCheckpoints {
  if (checkpoint.keep_best && !validates) throw withoutValidation('checkpoint.keep_best');
  if (checkpoint.result === 'best' && !validates) throw withoutValidation('checkpoint.result');
  const keep_best = checkpoint.keep_best ?? validates;
  if (checkpoint.result === 'best' && !keep_best) throw withoutBest('checkpoint.result takes', 'checkpoint.result');
  if (!stopping) return { checkpoint: { ...checkpoint, keep_best } };
  if (!validates) throw withoutValidation('early_stopping');
  if (!keep_best && checkpoint.result !== 'last') throw withoutBest('early_stopping ends with', 'early_stopping');
  if (validations < 2) {
    throw new AppError(
      'invalid_value',
      "'early_stopping' compares evaluations, but this run has one, after its last step.",
      { param: 'evaluation.every_steps', hint: 'Lower evaluation.every_steps, or train for more steps.' },
    );
  }
  return { early_stopping: stopping, checkpoint: { ...checkpoint, keep_best } };
}

const withoutBest = (what: string, param: string): AppError =>
  new AppError('invalid_value', `'checkpoint.keep_best' is false, but ${what} the best.`, {
    param: 'checkpoint.keep_best',
    hint: `Leave keep_best out, or ${param === 'early_stopping' ? 'leave early_stopping out' : "take checkpoint.result 'last'"}.`,
  });

const withoutValidation = (param: string): AppError =>
  new AppError('invalid_value', `'${param}' follows the validation loss, but there is no validation file.`, {
    param,
    hint: 'Name one as validation_file (on the command line --valid), or leave the key out.',
  });
