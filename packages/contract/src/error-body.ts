import { type AppError, explain } from './errors.js';
import type { ErrorBody } from './objects/index.js';

/** OpenAI's word for kinds of errors. */
const typeOf = ({ status }: AppError): string =>
  status >= 500 ? 'server_error' : status === 429 ? 'rate_limit_error' : 'invalid_request_error';

/** An error as the wire has it. */
export const errorBody = (error: AppError): ErrorBody => ({
  error: { message: explain(error), type: typeOf(error), param: error.param, code: error.code },
});
