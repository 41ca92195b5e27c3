import fp from 'fastify-plugin';
import { inlineScriptHashes } from './dashboard.js';

/** On every answer. */
const ALWAYS = { 'cross-origin-resource-policy': 'same-origin', 'x-content-type-options': 'nosniff' };

/**
 * Only a page, a script or a picture with scripts has a use for these. They are two thirds of an answer that says that nothing is new, and
 * pages ask for those every two seconds.
 */
const forDocuments = (dashboardDir: string): [name: string, value: string][] => [
  [
    'content-security-policy',
    [
      "default-src 'self'",
      `script-src ${["'self'", ...inlineScriptHashes(dashboardDir)].join(' ')}`,
      "style-src 'self' 'unsafe-inline'",
      "img-src 'self' data: blob:",
      "font-src 'self' data:",
      "connect-src 'self'",
      "object-src 'none'",
      "base-uri 'self'",
      "form-action 'self'",
      "frame-ancestors 'none'",
    ].join(';'),
  ],
  ['cross-origin-opener-policy', 'same-origin'],
  ['origin-agent-cluster', '?1'],
  ['referrer-policy', 'no-referrer'],
  ['x-frame-options', 'SAMEORIGIN'],
];
const DOCUMENT = /html|javascript|svg|xml/;

/**
 * Response headers that keep a browser to our own origin. No `upgrade-insecure-requests` and no HSTS: the server speaks plain HTTP on
 * a LAN, a proxy that adds TLS adds them too.
 */
export const security = fp<{ dashboardDir: string }>(async (app, { dashboardDir }) => {
  const headers = forDocuments(dashboardDir);
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(ALWAYS);
    done();
  });
  app.addHook('onSend', (_request, reply, _payload, done) => {
    if (DOCUMENT.test(String(reply.getHeader('content-type') ?? '')))
      for (const [name, value] of headers) if (!reply.hasHeader(name)) reply.header(name, value);
    done();
  });
});
