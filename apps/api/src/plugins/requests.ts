import { isUtf8 } from 'node:buffer';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { AppError, refusalOfMany } from '@moraine/contract';
import fp from 'fastify-plugin';
import { findForbidden, forbidden } from './forbidden.js';
import { refuseQuery } from './query.js';
import { refuseTexts } from './text.js';

/** The caller's own x-request-id when it is harmless to log, else a fresh one. */
export function requestId(request: Pick<IncomingMessage, 'headers'>): string {
  const given = request.headers['x-request-id'];
  return typeof given === 'string' && /^[\w.-]{1,128}$/.test(given) ? given : `req_${randomBytes(12).toString('hex')}`;
}

/** The refusal of a body that is JSON, for a key in it; null for what is none. */
function refusalOf(text: string): AppError | null {
  try {
    const found = findForbidden(JSON.parse(text.replace(/^\uFEFF/, '')));
    return found === null ? null : forbidden('body', found);
  } catch {
    return null;
  }
}

/**
 * What every request gets: x-request-id on its answer, one log line without its query (a login token may stand there),
 * and an empty JSON body that counts as no body, because the stock Python client posts `cancel` like that.
 */
export const requests = fp(async (app) => {
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id);
    refuseQuery(request.url);
    done();
  });
  // What a body, a query or an address holds is checked here, once for all routes; forms are read part by part (routes/form.ts).
  app.addHook('preValidation', ({ body, query, params }, _reply, done) => {
    refuseTexts(params);
    refuseTexts(query);
    refuseTexts(body);
    done();
  });
  app.addHook('onResponse', (request, reply, done) => {
    done();
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
  app.addContentTypeParser<Buffer>('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    if (body.length === 0) done(null, undefined);
    else if (isUtf8(body)) {
      const text = body.toString();
      const refusal = refusalOfMany(text);
      if (refusal) return done(refusal);
      void parseJson(request, text, (error, value) => done(error && (refusalOf(text) ?? error), value));
    } else
      done(
        new AppError('invalid_request', 'The body is not UTF-8.', {
          hint: 'Send JSON in UTF-8; a character cut in two is none.',
        }),
      );
  });
});
