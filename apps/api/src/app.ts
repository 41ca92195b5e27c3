import { constants } from 'node:zlib';
import { fastifyCompress } from '@fastify/compress';
import { fastifyCookie } from '@fastify/cookie';
import { fastifyMultipart } from '@fastify/multipart';
import { fastifySSE } from '@fastify/sse';
import type { Services } from '@moraine/services';
import Fastify, { type FastifyBaseLogger, type FastifyInstance, LogController } from 'fastify';
import type { ApiEnv } from './env.js';
import { access } from './plugins/access.js';
import { refuseUnreadable } from './plugins/client-errors.js';
import { dashboard } from './plugins/dashboard.js';
import { documentPages, documents } from './plugins/documents.js';
import { drain } from './plugins/drain.js';
import { errors, sendError, toWireError } from './plugins/errors.js';
import { loopDelay } from './plugins/loop-delay.js';
import { metrics } from './plugins/metrics.js';
import { parseQuery } from './plugins/query.js';
import { rateLimit } from './plugins/rate-limit.js';
import { requestId, requests } from './plugins/requests.js';
import { security } from './plugins/security.js';
import { checkingSerializer, serializer } from './plugins/serialize.js';
import { shed } from './plugins/shed.js';
import { bindAll } from './routes/bind.js';
import { handlers } from './routes/handlers.js';
import { healthRoutes } from './routes/health.js';
import { loginRoute } from './routes/login.js';
import { validator } from './routes/schema.js';

/** Readers call a stream dead that says nothing for a few seconds: the dashboard says within 5 s that it is not live. */
const HEARTBEAT_MS = 2_000;

/**
 * Answers in text are compressed, quickly; streams of events are not, nor tars and files that a caller may want a part of. What the
 * dashboard is made of was compressed when it was built.
 */
const COMPRESSION = {
  customTypes: /^(application\/json|application\/javascript|text\/(html|plain|css|javascript)|image\/svg)/,
  globalDecompression: false,
  brotliOptions: { params: { [constants.BROTLI_PARAM_QUALITY]: 4 } },
};

/** The HTTP application over opened services, not yet listening. Everything under `/v1` asks for a key or a session. */
export async function buildApp(services: Services, env: ApiEnv): Promise<FastifyInstance> {
  const loggerInstance: FastifyBaseLogger = services.log;
  const app = Fastify({
    loggerInstance,
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'requestId' }),
    genReqId: requestId,
    routerOptions: { maxParamLength: 512, querystringParser: parseQuery },
    // Addresses that the router itself refuses meet no hook and no handler.
    frameworkErrors: (error, request, reply) => sendError(toWireError(error), reply.header('x-request-id', request.id)),
    clientErrorHandler: refuseUnreadable,
    // What `drain` could not finish in time is cut.
    forceCloseConnections: true,
    trustProxy: env.trustProxy,
  });
  app.setValidatorCompiler(validator);
  app.setSerializerCompiler(env.checkResponses ? checkingSerializer : serializer);
  app.decorateRequest('actor', null);

  await app.register(errors);
  await app.register(loopDelay);
  await app.register(drain);
  await app.register(requests);
  await app.register(security, { dashboardDir: env.dashboardDir });
  await app.register(fastifyCompress, COMPRESSION);
  await app.register(fastifyCookie);
  await app.register(documents);
  await app.register(async (v1) => {
    await v1.register(shed, { poolWaitMs: () => services.poolState().longestWaitMs });
    await v1.register(access, { services });
    const { redis, redisLink, redisPrefix } = services;
    await v1.register(rateLimit, { redis, redisLink, redisPrefix, limit: env.rateLimit });
    await v1.register(fastifyMultipart);
    await v1.register(fastifySSE, { heartbeatInterval: HEARTBEAT_MS });
    bindAll(v1, handlers, services, env);
  });
  healthRoutes(app, services, env.instance);
  loginRoute(app, services);
  await app.register(metrics, { services });
  await app.register(documentPages);
  await app.register(dashboard, { dir: env.dashboardDir });
  return app;
}
