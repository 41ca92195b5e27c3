/**
 * An error of this package, in the same shape as the project's `AppError` (of ours, this package imports only the parser of safetensors headers):
 * `code` for programs, `message` with the values in it, `hint` with what to do.
 */
export class EngineError extends Error {
  override readonly name = 'EngineError';
  constructor(
    readonly code: EngineErrorCode,
    message: string,
    readonly hint: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

/** A fault of our own code: something that cannot be was. `what` says what was expected, or what was found instead. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
  constructor(
    readonly what: string,
    options?: { cause?: unknown },
  ) {
    super(`Moraine's own fault: ${what}`, options);
  }
}

/** Continues when the condition holds. For what only a fault in our code can break; what a person can cause has an error with a code. @throws InvariantError */
export function invariant(condition: unknown, what: string): asserts condition {
  if (!condition) throw new InvariantError(what);
}

export type EngineErrorCode =
  | 'runtime_missing'
  | 'runtime_broken'
  | 'cuda_library_missing'
  | 'runtime_unsupported_platform'
  | 'runtime_prerequisite_missing'
  | 'runtime_download_failed'
  | 'runtime_hash_mismatch'
  | 'runtime_compile_failed'
  | 'runtime_disk_full'
  | 'runtime_lock_invalid'
  | 'zip_invalid'
  | 'safetensors_invalid'
  | 'safetensors_unsupported'
  | 'safetensors_write_failed'
  | 'unknown_signature'
  | 'unknown_output'
  | 'bad_feed'
  | 'kernel_unregistered'
  | 'eager_tensor_captured'
  | 'value_read_in_trace'
  | 'unsupported_in_mode'
  | 'weights_unreadable'
  | 'session_disposed'
  | 'out_of_memory'
  | 'run_failed';
