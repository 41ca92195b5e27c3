import fp from 'fastify-plugin';
import helmet from 'helmet';
import { inlineScriptHashes } from './dashboard.js';

/** On every answer. */
const ALWAYS = { 'cross-origin-resource-policy': 'same-origin', 'x-content-type-options': 'nosniff' };

/**
 * Only a page, a script or a picture with scripts has a use for helmet's headers. They are two thirds of an answer that says that nothing is
 * new, and pages ask for those every two seconds.
 */
const DOCUMENT = /html|javascript|svg|xml/;

/**
 * Response headers that keep a browser to our own origin. No `upgrade-insecure-requests` and no HSTS: the server speaks plain HTTP on
 * a LAN, a proxy that adds TLS adds them too.
 */
export const security = fp<{ dashboardDir: string }>(async (app, { dashboardDir }) => {
  const protect = helmet({
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
  app.addHook('onRequest', (_request, reply, done) => {
    reply.headers(ALWAYS);
    done();
  });
  app.addHook('onSend', (request, reply, _payload, done) => {
    if (DOCUMENT.test(String(reply.getHeader('content-type') ?? ''))) protect(request.raw, reply.raw, done);
    else done();
  });
});
