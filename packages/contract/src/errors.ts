/**
 * Every error a person can meet: a code for programs, a sentence with the values in it, and what to do.
 * `status` is the HTTP answer, `retryable` says whether the same request may succeed later without a change.
 */
export const ERROR_CODES = {
  // what the caller sent
  invalid_request: { status: 400, retryable: false },
  unknown_key: { status: 400, retryable: false },
  invalid_value: { status: 400, retryable: false },
  invalid_file: { status: 400, retryable: false },
  invalid_base: { status: 400, retryable: false },
  no_target_matched: { status: 400, retryable: false },
  unsupported_format: { status: 400, retryable: false },
  unsupported_method: { status: 400, retryable: false },
  unsupported_integration: { status: 400, retryable: false },
  file_too_large: { status: 413, retryable: false },
  // who sent it
  missing_api_key: { status: 401, retryable: false },
  invalid_api_key: { status: 401, retryable: false },
  forbidden: { status: 403, retryable: false },
  rate_limited: { status: 429, retryable: true },
  // what it met
  not_found: { status: 404, retryable: false },
  route_not_found: { status: 404, retryable: false },
  conflict: { status: 409, retryable: false },
  not_ready: { status: 409, retryable: false },
  stale_attempt: { status: 409, retryable: false },
  // training
  user_data: { status: 400, retryable: false },
  nan_loss: { status: 500, retryable: false },
  loss_diverged: { status: 500, retryable: false },
  out_of_memory: { status: 500, retryable: true },
  runtime_missing: { status: 503, retryable: true },
  checkpoint_mismatch: { status: 409, retryable: false },
  cancelled: { status: 409, retryable: false },
  // ourselves
  storage: { status: 500, retryable: true },
  storage_full: { status: 507, retryable: true },
  unavailable: { status: 503, retryable: true },
  internal: { status: 500, retryable: true },
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface AppErrorOptions {
  /** The request key or file position the error is about, e.g. `adapter.rank` or `line 12, messages[1].role`. */
  param?: string;
  /** What to do about it, one sentence. */
  hint?: string;
  cause?: unknown;
}

/** The one error class that crosses rooms; boundaries (HTTP, child process, UI) each map it once. */
export class AppError extends Error {
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly hint: string | null;

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.name = 'AppError';
    this.code = code;
    this.param = options.param ?? null;
    this.hint = options.hint ?? null;
  }

  get status(): number {
    return ERROR_CODES[this.code].status;
  }

  get retryable(): boolean {
    return ERROR_CODES[this.code].retryable;
  }
}

/** Whether a run ended because its loss is no number any more, or far above that of guessing: its rate is worse than any of which this is not so. */
export const isDivergence = (code: string | null): boolean => code === 'nan_loss' || code === 'loss_diverged';

/** The `params` of a schema's check that says under which code it refuses, and what to do. */
export const refusal = (code: ErrorCode, hint: string): { code: ErrorCode; hint: string } => ({ code, hint });

/** The sentence for people: message and hint together. */
export function explain(error: unknown): string {
  if (error instanceof AppError) return error.hint ? `${error.message} ${error.hint}` : error.message;
  return error instanceof Error ? error.message : String(error);
}
