import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join, sep } from 'node:path';
import { fastifyStatic } from '@fastify/static';
import type { FastifyReply, FastifyRequest } from 'fastify';
import fp from 'fastify-plugin';
import { routeNotFound, sendError } from './errors.js';

const NOT_BUILT =
  'The dashboard is not built. Run `npm run build` and start the API again.\nThe API itself is up: /docs describes it.\n';

/** CSP sources for the inline scripts of the dashboard's page (it sets the colour scheme before the first paint). */
export function inlineScriptHashes(dashboardDir: string): string[] {
  const page = join(dashboardDir, 'index.html');
  if (!existsSync(page)) return [];
  const scripts = readFileSync(page, 'utf8').matchAll(/<script(?![^>]*\ssrc=)[^>]*>([\s\S]*?)<\/script>/g);
  return [...scripts].map(
    ([, text]) =>
      `'sha256-${createHash('sha256')
        .update(text ?? '')
        .digest('base64')}'`,
  );
}

const wantsPage = ({ method, url, headers }: FastifyRequest): boolean =>
  (method === 'GET' || method === 'HEAD') &&
  !/^\/v1(\/|\?|$)/.test(url) &&
  !/^\/assets\//.test(url) &&
  (headers.accept ?? '').includes('text/html');

/** The built dashboard: hashed assets are kept for ever, its page never; unknown paths that a browser asks for get the page (its own router decides). */
export const dashboard = fp<{ dir: string }>(async (app, { dir }) => {
  const built = existsSync(join(dir, 'index.html'));
  if (built)
    await app.register(fastifyStatic, {
      root: dir,
      cacheControl: false,
      preCompressed: true,
      setHeaders(reply, path) {
        const hashed = path.startsWith(join(dir, 'assets') + sep);
        void reply.header('cache-control', hashed ? 'public, max-age=31536000, immutable' : 'no-cache');
      },
    });
  else
    app.get('/', { schema: { hide: true } }, async (_request, reply) =>
      reply.code(503).type('text/plain; charset=utf-8').send(NOT_BUILT),
    );

  app.setNotFoundHandler((request, reply): FastifyReply => {
    if (!wantsPage(request)) return sendError(routeNotFound(request), reply);
    if (!built) return reply.code(503).type('text/plain; charset=utf-8').send(NOT_BUILT);
    return reply.sendFile('index.html');
  });
});
