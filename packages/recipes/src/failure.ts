import { AppError, explain, type FailureCause } from '@moraine/contract';
import { EngineError, type EngineErrorCode } from '@moraine/engine';

export interface Failure {
  cause: FailureCause;
  code: string;
  message: string;
  param: string | null;
}

const OUT_OF_MEMORY =
  /resource ?exhausted|out of memory|\bOOM\b|cannot allocate|failed to allocate|Array buffer allocation failed/i;

/** Faults of the engine that are not faults of ours. */
const ENGINE_CAUSES: Partial<Record<EngineErrorCode, FailureCause>> = {
  out_of_memory: 'oom',
  unsupported_in_mode: 'user_config',
  weights_unreadable: 'user_config',
  runtime_disk_full: 'storage',
};

/** What a run died of, from whatever was thrown: whose fault it is decides whether it is tried again. */
export function failureOf(error: unknown): Failure {
  const message = error instanceof EngineError ? `${error.message} ${error.hint}` : explain(error);
  const failure = (cause: FailureCause, code: string): Failure => ({
    cause,
    code,
    message,
    param: error instanceof AppError ? error.param : null,
  });
  if (OUT_OF_MEMORY.test(message)) return failure('oom', 'out_of_memory');
  if (isDiskFault(error)) return failure('storage', 'storage');
  if (error instanceof EngineError) {
    const cause = ENGINE_CAUSES[error.code] ?? 'internal';
    return failure(cause, error.code);
  }
  if (!(error instanceof AppError)) return failure('internal', 'internal');
  switch (error.code) {
    case 'nan_loss':
    case 'loss_diverged':
      return failure('nan', error.code);
    case 'user_data':
    case 'invalid_file':
      return failure('user_data', error.code);
    case 'out_of_memory':
      return failure('oom', error.code);
    case 'storage':
      return failure('storage', error.code);
    case 'invalid_base':
    case 'checkpoint_mismatch':
    case 'no_target_matched':
    case 'invalid_value':
    case 'unsupported_format':
    case 'runtime_missing':
      return failure('user_config', error.code);
    default:
      return failure('internal', error.code);
  }
}

/** A full or failing disk, as Node names it. */
function isDiskFault(error: unknown): boolean {
  return error instanceof Error && 'code' in error && ['ENOSPC', 'EDQUOT', 'EIO', 'EROFS'].includes(String(error.code));
}
