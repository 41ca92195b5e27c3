import { AppError, type ErrorBody, explain } from '@moraine/contract';

/** An error as OpenAI's API writes it. Those that nobody foresaw say no more than that. */
export function wireError(error: unknown): { status: number; body: ErrorBody } {
  const known = error instanceof AppError ? error : unforeseen(error);
  const type = known.status >= 500 ? 'server_error' : 'invalid_request_error';
  return {
    status: known.status,
    body: { error: { message: explain(known), type, param: known.param, code: known.code } },
  };
}

function unforeseen(error: unknown): AppError {
  const { statusCode, message } = (error ?? {}) as { statusCode?: unknown; message?: unknown };
  if (typeof statusCode === 'number' && statusCode < 500) return new AppError('invalid_request', String(message));
  return new AppError('internal', 'Something went wrong on our side.', {
    hint: 'The log of the server has the cause.',
  });
}
