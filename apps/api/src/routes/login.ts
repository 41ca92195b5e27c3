import { AppError, explain } from '@moraine/contract';
import { redeemLoginLink, type Services } from '@moraine/services';
import type { FastifyInstance } from 'fastify';
import { SESSION_COOKIE } from '../plugins/access.js';
import { toWireError } from '../plugins/errors.js';

const page = (title: string, text: string): string => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem}</style>
<h1>${title}</h1><p>${text}</p></html>
`;

const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

/** GET /login?token=… : exchanges a one-time link for a session cookie and goes on to the dashboard. */
export function loginRoute(app: FastifyInstance, s: Services): void {
  app.get<{ Querystring: { token?: unknown } }>('/login', { schema: { hide: true } }, async (request, reply) => {
    reply.header('cache-control', 'no-store').header('referrer-policy', 'no-referrer');
    const { token } = request.query;
    try {
      if (typeof token !== 'string' || token === '')
        throw new AppError('forbidden', 'This URL has no token.', {
          hint: '`npx moraine login` prints a link.',
        });
      const session = await redeemLoginLink(s, token);
      return reply
        .setCookie(SESSION_COOKIE, session.token, {
          path: '/',
          httpOnly: true,
          sameSite: 'strict',
          secure: request.protocol === 'https',
          expires: session.expiresAt,
        })
        .redirect('/', 303);
    } catch (thrown) {
      const error = toWireError(thrown);
      if (error.status >= 500) request.log.error({ err: thrown }, 'the login link could not be redeemed');
      const status = error.status >= 500 ? error.status : 410;
      return reply
        .code(status)
        .type('text/html; charset=utf-8')
        .send(page('This link does not work any more', escapeHtml(explain(error))));
    }
  });
}
