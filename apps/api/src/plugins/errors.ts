import { AppError, errorBody, explain, nearest, ROUTES } from '@moraine/contract';
import { isServerAway, isStorageFull } from '@moraine/services';
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';

/** Fastify's own refusals, said in our words. */
const REFUSALS: Record<string, (error: FastifyError) => AppError> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: () =>
    new AppError('invalid_request', 'This content type is not supported here.', {
      hint: 'Send application/json, or multipart/form-data where files are uploaded.',
    }),
  FST_ERR_CTP_INVALID_JSON_BODY: (error) => notJson(error),
  FST_ERR_CTP_BODY_TOO_LARGE: () =>
    new AppError('file_too_large', 'The request body is larger than this route takes.', {
      hint: 'Upload data with POST /v1/files and name it by its id.',
    }),
  FST_ERR_BAD_URL: () => new AppError('invalid_request', 'Malformed percent-encoding in the URL.'),
  FST_ERR_MAX_PARAM_LENGTH: () => new AppError('not_found', 'The id in the URL is too long to exist.'),
  FST_INVALID_MULTIPART_CONTENT_TYPE: () =>
    new AppError('invalid_request', 'This route takes multipart/form-data.', {
      hint: 'Send the file as field `file` of a form, e.g. curl -F purpose=fine-tune -F file=@data.jsonl.',
    }),
  FST_REQ_FILE_TOO_LARGE: () => new AppError('file_too_large', 'The file is larger than this server takes.'),
  FST_PARTS_LIMIT: () => new AppError('invalid_request', 'The form has too many parts.'),
  FST_FILES_LIMIT: () => new AppError('invalid_request', 'The form has too many files.'),
  FST_FIELDS_LIMIT: () => new AppError('invalid_request', 'The form has too many fields.'),
  FST_PROTO_VIOLATION: () => new AppError('invalid_request', 'A form field has a name that is not allowed.'),
};

const notJson = (error: Error): AppError =>
  new AppError('invalid_request', `The body is not JSON: ${error.message}.`, {
    hint: 'Check quotes and commas.',
    cause: error,
  });

/** Whatever was thrown, as the error that is reported to the caller. Errors that nobody foresaw become a generic one: their text stays in the log. */
export function toWireError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  if (error instanceof SyntaxError && 'statusCode' in error && error.statusCode === 400) return notJson(error);
  const { code, statusCode } = (error ?? {}) as { code?: unknown; statusCode?: unknown };
  const refusal = typeof code === 'string' ? REFUSALS[code] : undefined;
  if (refusal) return refusal(error as FastifyError);
  if (statusCode === 429)
    return new AppError('rate_limited', (error as Error).message, {
      hint: 'Wait as long as the retry-after header says.',
    });
  if (isStorageFull(error))
    return new AppError('storage_full', `A disk of the server is full: ${(error as Error).message}.`, {
      hint: 'Nothing was stored. Make room on the disk that Postgres or the blob storage is on; then try again.',
      cause: error,
    });
  if (isServerAway(error))
    return new AppError('unavailable', 'A server that the API depends on does not respond, or takes no writes now.', {
      hint: 'Try again in a few seconds; GET /readyz names what is away.',
      cause: error,
    });
  if (typeof statusCode === 'number' && statusCode >= 400 && statusCode < 500)
    return new AppError('invalid_request', (error as Error).message, { cause: error });
  return new AppError('internal', 'Something went wrong on our side.', {
    hint: 'The x-request-id of this response finds the cause in the log of the API.',
    cause: error,
  });
}

/** Seconds by status, where nobody knows better. */
const RETRY_AFTER: Record<number, string> = { 429: '5', 503: '1', 507: '30' };

export function sendError(error: AppError, reply: FastifyReply): FastifyReply {
  // The stock clients retry 409 by themselves, and 500s too: say which of them are worth it.
  if (error.status >= 400) void reply.header('x-should-retry', String(error.retryable));
  const wait = RETRY_AFTER[error.status];
  if (wait !== undefined && !reply.hasHeader('retry-after')) void reply.header('retry-after', wait);
  return reply.code(error.status).type('application/json').send(errorBody(error));
}

const PATHS = [...new Set(Object.values(ROUTES).map((route) => route.path))];

/** Paths of the OpenAI API that are not here on purpose, and why. */
const ELSEWHERE: readonly [path: RegExp, why: string][] = [
  [
    /^\/v1\/fine_tuning\/alpha\/graders\//,
    'Graders belong to reinforcement fine-tuning; Moraine trains supervised. POST /v1/fine_tuning/jobs with evaluation.files measures on held-out rows.',
  ],
  [
    /^\/v1\/fine_tuning\/checkpoints\/.+\/permissions/,
    'Checkpoints have no permissions of their own here: every key of a project may use those of its runs.',
  ],
];

/** The error for a path that no route has: says why it is not here, or names the method that exists there, or the nearest path. */
export function routeNotFound(request: FastifyRequest): AppError {
  const path = request.url.split('?')[0] ?? '/';
  const why = ELSEWHERE.find(([known]) => known.test(path))?.[1];
  if (why) return new AppError('route_not_found', `There is no ${request.method} ${path}.`, { hint: why });
  const here = Object.values(ROUTES).filter((route) =>
    new RegExp(`^${route.path.replaceAll(/:\w+/g, '[^/]+')}/?$`).test(path),
  );
  const near = nearest(path, PATHS);
  const hint =
    here.length > 0
      ? `This path takes ${here.map((route) => route.method).join(' and ')}.`
      : near
        ? `Did you mean ${near}?`
        : 'See /docs for every route.';
  return new AppError('route_not_found', `There is no ${request.method} ${path}.`, { hint });
}

/** Whether the caller ended the connection before the request was whole. */
const hasGone = ({ raw }: FastifyRequest): boolean => raw.destroyed && !raw.complete;

/** What then fails is no fault of ours, whatever it looks like here; nobody is left to read the answer. */
const gone = (cause: unknown): AppError =>
  new AppError('invalid_request', 'The connection ended before the request did.', { cause });

/** Maps every error to `{error: {message, type, param, code}}`, logs what is our fault, and never shows its text. */
export const errors = fp(async (app) => {
  app.setErrorHandler((thrown, request, reply) => {
    const isGone = hasGone(request);
    const error = isGone ? gone(thrown) : toWireError(thrown);
    if (isGone) request.log.info({ err: thrown }, error.message);
    // What we refuse for a while is no fault, and there may be very many of them.
    if (thrown instanceof AppError && thrown.code === 'unavailable') request.log.debug(explain(error));
    else if (error.status >= 500) request.log.error({ err: thrown }, explain(error));
    return sendError(error, reply);
  });
});
