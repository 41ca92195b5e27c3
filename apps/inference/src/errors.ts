import { AppError } from '@moraine/contract';

/** Whatever was thrown, as the error that is reported to the caller. One that nobody foresaw says no more than that; the log has it. */
export function toWireError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const { statusCode, message } = (error ?? {}) as { statusCode?: unknown; message?: unknown };
  if (statusCode === 413)
    return new AppError('file_too_large', `${String(message)}.`, { hint: 'Send at most 16 MiB a request.' });
  if (typeof statusCode === 'number' && statusCode < 500) return new AppError('invalid_request', String(message));
  return new AppError('internal', 'Something went wrong on our side.', {
    hint: 'The log of the server has the cause.',
  });
}
