import type { AppError } from './errors.js';
import type { ErrorBody } from './objects/index.js';

/** OpenAI's word for kinds of errors. */
const typeOf = (status: number): string =>
  status >= 500 ? 'server_error' : status === 429 ? 'rate_limit_error' : 'invalid_request_error';

/** What was sent is quoted in an error, and may be of any length. */
const QUOTED_MAX = 2_000;

const cut = (text: string): string =>
  text.length <= QUOTED_MAX ? text : `${text.slice(0, QUOTED_MAX).replace(/\p{Surrogate}$/u, '')}…`;

/** An error as the wire has it. */
export function errorBody({ code, status, message, hint, param }: AppError): ErrorBody {
  const said = hint ? `${cut(message)} ${cut(hint)}` : cut(message);
  return { error: { message: said, type: typeOf(status), param: param === null ? null : cut(param), code } };
}
