import { AppError, explain } from '@moraine/contract';
import { checkLoginLink, redeemLoginLink, type Services } from '@moraine/services';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { checkOrigin, SESSION_COOKIE } from '../plugins/access.js';
import { toWireError } from '../plugins/errors.js';

const BODY_BYTES = 4_096;

const page = (title: string, content: string): string => `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex"><title>${title}</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:34rem;margin:20vh auto;padding:0 1rem}button{font:inherit;padding:.5rem 1rem}</style>
<h1>${title}</h1>${content}</html>
`;

const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;');

const signInPage = (token: string): string =>
  page(
    'Sign in to Moraine',
    `<p>This link signs one browser in, once.</p>
<form method="post" action="/login"><input type="hidden" name="token" value="${escapeHtml(token)}"><button autofocus>Sign in here</button></form>`,
  );

function tokenOf(given: unknown): string {
  const { token } = (given ?? {}) as { token?: unknown };
  if (typeof token === 'string' && token !== '') return token;
  throw new AppError('forbidden', 'This URL has no token.', { hint: '`npx moraine login` prints a link.' });
}

/** Answers in pages, for people: what cannot be redeemed is gone. */
async function inPages(
  request: FastifyRequest,
  reply: FastifyReply,
  work: () => Promise<FastifyReply>,
): Promise<FastifyReply> {
  // Not `no-referrer`, with which a browser sends the form without saying where it comes from.
  reply.header('cache-control', 'no-store').header('referrer-policy', 'same-origin');
  try {
    return await work();
  } catch (thrown) {
    const error = toWireError(thrown);
    if (error.status >= 500) request.log.error({ err: thrown }, 'the login link could not be redeemed');
    const status = error.status >= 500 ? error.status : 410;
    return reply
      .code(status)
      .type('text/html; charset=utf-8')
      .send(page('This link does not work any more', `<p>${escapeHtml(explain(error))}</p>`));
  }
}

/**
 * The one-time link. GET and HEAD of /login?token=… show a page with a button and leave the link as it is, because chats and mail scanners open links
 * before people do; the button's POST exchanges it for a session cookie and goes on to the dashboard.
 */
export function loginRoute(root: FastifyInstance, s: Services): void {
  root.get('/login', { schema: { hide: true } }, (request, reply) =>
    inPages(request, reply, async () => {
      const token = tokenOf(request.query);
      await checkLoginLink(s, token);
      return reply.type('text/html; charset=utf-8').send(signInPage(token));
    }),
  );
  void root.register(async (app) => {
    const form = 'application/x-www-form-urlencoded';
    app.addContentTypeParser(form, { parseAs: 'string', bodyLimit: BODY_BYTES }, (_request, body, done) =>
      done(null, { token: new URLSearchParams(String(body)).get('token') }),
    );
    app.post('/login', { schema: { hide: true } }, async (request, reply) => {
      checkOrigin(request);
      return inPages(request, reply, async () => {
        const session = await redeemLoginLink(s, tokenOf(request.body));
        return reply
          .setCookie(SESSION_COOKIE, session.token, {
            path: '/',
            httpOnly: true,
            sameSite: 'strict',
            secure: request.protocol === 'https',
            expires: session.expiresAt,
          })
          .redirect('/', 303);
      });
    });
  });
}
