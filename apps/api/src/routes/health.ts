import { AppError } from '@moraine/contract';
import type { Services } from '@moraine/services';
import type { FastifyInstance } from 'fastify';

const PROBE_MS = 5_000;
/** A caller would wait for so long: a balancer sends it elsewhere meanwhile. */
const LATE_MS = 1_000;

async function probe(ask: () => Promise<unknown>): Promise<string> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new AppError('unavailable', `No response within ${PROBE_MS} ms.`)), PROBE_MS);
  });
  try {
    await Promise.race([ask(), late]);
    return 'ok';
  } catch {
    return 'away';
  } finally {
    clearTimeout(timer);
  }
}

/** /healthz: this process responds. /readyz: so do Postgres and Redis, and the event loop is not late; 503 names what is wrong. */
export function healthRoutes(app: FastifyInstance, s: Services): void {
  app.get('/healthz', { schema: { hide: true } }, async () => ({ status: 'ok' }));
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    const [postgres, redis] = await Promise.all([probe(() => s.pg.query('SELECT 1')), probe(() => s.redis.ping())]);
    const delayMs = Math.round(app.loopDelay().maxMs);
    const loop = delayMs > LATE_MS ? 'late' : 'ok';
    const isReady = postgres === 'ok' && redis === 'ok' && loop === 'ok';
    const found = { postgres, redis, event_loop: loop, event_loop_delay_ms: delayMs };
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ok' : 'unavailable', ...found });
  });
}
