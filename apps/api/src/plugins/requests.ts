import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AppError } from '@moraine/contract';
import fp from 'fastify-plugin';

/** The caller's own x-request-id when it is harmless to log, else a fresh one. */
export function requestId(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.-]{1,128}$/.test(given) ? given : `req_${randomBytes(12).toString('hex')}`;
}

/** U+0000 written as JSON does; an escaped backslash in front of `u0000` is none. */
const NUL = /(?<!\\)(?:\\\\)*\\u0000/;
const hasNul = (where: string): AppError =>
  new AppError('invalid_request', `The ${where} contains the character U+0000, which is not allowed.`, {
    hint: 'Leave it out.',
  });

/**
 * What every request gets: x-request-id on its answer, one log line without its query (a login token may stand there),
 * and an empty JSON body that counts as no body, because the stock Python client posts `cancel` like that.
 */
export const requests = fp(async (app) => {
  app.addHook('onRequest', async (request, reply) => {
    reply.header('x-request-id', request.id);
    if (request.url.includes('%00')) throw hasNul('address');
  });
  app.addHook('onResponse', async (request, reply) => {
    const level =
      reply.statusCode >= 500 ? 'error' : request.method === 'GET' && reply.statusCode < 400 ? 'debug' : 'info';
    const path = request.url.split('?')[0];
    const fields = {
      method: request.method,
      path,
      status: reply.statusCode,
      durationMs: Math.round(reply.elapsedTime),
      keyId: request.actor?.keyId,
    };
    request.log[level](fields, `${request.method} ${path} ${reply.statusCode}`);
  });

  app.removeContentTypeParser('application/json');
  const parseJson = app.getDefaultJsonParser('error', 'error');
  app.addContentTypeParser('application/json', { parseAs: 'string' }, (request, body, done) => {
    if (body.length === 0) done(null, undefined);
    else if (NUL.test(body.toString())) done(hasNul('body'));
    else void parseJson(request, body.toString(), done);
  });
});
