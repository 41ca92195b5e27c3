import { proveWrite, type Services } from '@moraine/services';
import type { FastifyInstance } from 'fastify';

const POSTGRES_MS = 2_000;
const REDIS_MS = 1_000;
/** Probes that come closer together share a proof. */
const FRESH_MS = 500;
/** A caller would wait for so long: a balancer sends it elsewhere meanwhile. */
const LATE_MS = 1_000;

/** Whether a server does what is asked, in time. The last finding is shared while it is fresh. */
function openProbe(ask: () => Promise<unknown>, timeoutMs: number): () => Promise<'ok' | 'away'> {
  let last: { at: number; found: Promise<'ok' | 'away'> } | null = null;
  const probe = async (): Promise<'ok' | 'away'> => {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'away'>((resolve) => {
      timer = setTimeout(resolve, timeoutMs, 'away' as const);
    });
    try {
      return await Promise.race([
        ask().then(
          () => 'ok' as const,
          () => 'away' as const,
        ),
        late,
      ]);
    } finally {
      clearTimeout(timer);
    }
  };
  return () => {
    if (!last || performance.now() - last.at > FRESH_MS) last = { at: performance.now(), found: probe() };
    return last.found;
  };
}

/**
 * /healthz: this process responds. /readyz: Postgres takes a write, Redis responds, the event loop is not late, and the process is not
 * about to end; 503 names what is wrong.
 */
export function healthRoutes(app: FastifyInstance, s: Services, instance: string | null): void {
  const askPostgres = openProbe(() => proveWrite(s.pg, POSTGRES_MS), POSTGRES_MS);
  const askRedis = openProbe(
    () => (s.redisLink.isSilent() ? Promise.reject(new Error('silent')) : s.redis.ping()),
    REDIS_MS,
  );
  const alive = { status: 'ok', ...(instance !== null && { instance }) };
  app.get('/healthz', { schema: { hide: true } }, async () => alive);
  app.get('/readyz', { schema: { hide: true } }, async (_request, reply) => {
    if (app.draining.aborted) return reply.code(503).send({ status: 'draining' });
    const [postgres, redis] = await Promise.all([askPostgres(), askRedis()]);
    const delayMs = Math.round(app.loopDelay().maxMs);
    const loop = delayMs > LATE_MS ? 'late' : 'ok';
    const isReady = postgres === 'ok' && redis === 'ok' && loop === 'ok';
    const found = { postgres, redis, event_loop: loop, event_loop_delay_ms: delayMs };
    return reply.code(isReady ? 200 : 503).send({ status: isReady ? 'ok' : 'unavailable', ...found });
  });
}
