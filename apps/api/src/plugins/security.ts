import { fastifyHelmet } from '@fastify/helmet';
import fp from 'fastify-plugin';
import { inlineScriptHashes } from './dashboard.js';

/**
 * Response headers that keep a browser to our own origin. No `upgrade-insecure-requests` and no HSTS: the server speaks plain HTTP on
 * a LAN, a proxy that adds TLS adds them too.
 */
export const security = fp<{ dashboardDir: string }>(async (app, { dashboardDir }) => {
  await app.register(fastifyHelmet, {
    strictTransportSecurity: false,
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
});
