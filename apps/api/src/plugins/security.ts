import { fastifyHelmet } from '@fastify/helmet';
import fp from 'fastify-plugin';
import { inlineScriptHashes } from './dashboard.js';

/** Headers that only a page, a script or a picture with scripts has a use for. */
const FOR_DOCUMENTS = [
  'content-security-policy',
  'cross-origin-opener-policy',
  'origin-agent-cluster',
  'referrer-policy',
  'x-frame-options',
];
const DOCUMENT = /html|javascript|svg|xml/;

/**
 * Response headers that keep a browser to our own origin. No `upgrade-insecure-requests` and no HSTS: the server speaks plain HTTP on
 * a LAN, a proxy that adds TLS adds them too.
 */
export const security = fp<{ dashboardDir: string }>(async (app, { dashboardDir }) => {
  await app.register(fastifyHelmet, {
    strictTransportSecurity: false,
    // For browsers that are gone.
    xDnsPrefetchControl: false,
    xDownloadOptions: false,
    xPermittedCrossDomainPolicies: false,
    xXssProtection: false,
    contentSecurityPolicy: {
      useDefaults: false,
      directives: {
        defaultSrc: ["'self'"],
        scriptSrc: ["'self'", ...inlineScriptHashes(dashboardDir)],
        styleSrc: ["'self'", "'unsafe-inline'"],
        imgSrc: ["'self'", 'data:', 'blob:'],
        fontSrc: ["'self'", 'data:'],
        connectSrc: ["'self'"],
        objectSrc: ["'none'"],
        baseUri: ["'self'"],
        formAction: ["'self'"],
        frameAncestors: ["'none'"],
      },
    },
  });
  // They are two thirds of an answer that says that nothing is new, and pages ask for those every two seconds.
  app.addHook('onSend', async (_request, reply) => {
    if (!DOCUMENT.test(String(reply.getHeader('content-type') ?? '')))
      for (const name of FOR_DOCUMENTS) reply.removeHeader(name);
  });
});
