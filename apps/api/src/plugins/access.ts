import { AppError } from '@moraine/contract';
import { type Actor, type Services, verifyApiKey, verifySession } from '@moraine/services';
import type { FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { countWrongKeys } from './wrong-keys.js';

export const SESSION_COOKIE = 'moraine_session';

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks; set on every route inside the scope that `access` guards. */
    actor: Actor | null;
  }
}

/** The actor of a request inside the guarded scope. */
export function actorOf(request: FastifyRequest): Actor {
  if (!request.actor)
    throw new AppError('internal', `Route ${request.routeOptions.url} was registered outside the guarded scope.`);
  return request.actor;
}

const missing = (): AppError =>
  new AppError('missing_api_key', 'This request has no API key.', {
    hint: 'Send the header Authorization: Bearer <key>; `npx moraine env` prints the key of the local stack.',
  });

/** A cookie travels with requests that other pages on this host start: a write by cookie must come from our own page. */
export function checkOrigin(request: FastifyRequest): void {
  const { origin } = request.headers;
  if (request.method === 'GET' || request.method === 'HEAD' || origin === undefined) return;
  if (!URL.canParse(origin) || new URL(origin).host !== request.host)
    throw new AppError('forbidden', `A page of ${origin} may not change things here with your session.`, {
      hint: 'Use an API key.',
    });
}

async function identify(s: Services, request: FastifyRequest): Promise<Actor> {
  const { authorization } = request.headers;
  if (authorization !== undefined) {
    const key = /^Bearer +(\S+)$/i.exec(authorization)?.[1];
    if (!key) throw missing();
    return verifyApiKey(s, key);
  }
  const session = request.cookies[SESSION_COOKIE];
  if (!session) throw missing();
  checkOrigin(request);
  return verifySession(s, session);
}

/** Every route registered in the same scope after this asks for a bearer key or a session cookie. */
export const access = fp<{ services: Services }>(async (app, { services }) => {
  const wrongKeys = countWrongKeys();
  app.addHook('onRequest', async (request) => {
    try {
      request.actor = await identify(services, request);
    } catch (error) {
      if (error instanceof AppError && error.code === 'invalid_api_key') wrongKeys.count(request.ip);
      throw error;
    }
  });
});
