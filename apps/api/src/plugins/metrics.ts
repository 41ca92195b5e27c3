import { type Count, countWork, type Services } from '@moraine/services';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { access } from './access.js';

const BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Scrapes that come closer together share a count. */
const FRESH_MS = 5_000;

/** Counts how long requests take, by method, route and status. */
function countRequests(app: FastifyInstance, registers: [Registry]): void {
  const durations = new Histogram({
    name: 'moraine_http_request_duration_seconds',
    help: 'Time from a request to the end of its response.',
    labelNames: ['method', 'route', 'status'],
    buckets: BUCKETS_S,
    registers,
  });
  app.addHook('onResponse', (request, reply, done) => {
    done();
    const route = request.routeOptions.url ?? 'none';
    if (route === '/metrics') return;
    durations.observe({ method: request.method, route, status: reply.statusCode }, reply.elapsedTime / 1_000);
  });
}

/** What only this project knows of the process; prom-client adds what it knows of every one. */
function measureProcess(app: FastifyInstance, services: Services, registers: [Registry]): void {
  const gauge = (name: string, help: string, labelNames: string[], collect: (gauge: Gauge) => void): Gauge =>
    new Gauge({
      name,
      help,
      labelNames,
      registers,
      collect() {
        collect(this);
      },
    });
  gauge('moraine_event_loop_delay_seconds', 'How late the event loop was in the last seconds.', ['of'], (delay) => {
    const { meanMs, p99Ms, maxMs } = app.loopDelay();
    for (const [of, ms] of Object.entries({ mean: meanMs, p99: p99Ms, max: maxMs })) delay.set({ of }, ms / 1_000);
  });
  gauge('moraine_pg_pool_connections', 'Connections to Postgres, and who waits for one.', ['state'], (pool) => {
    const { connections, idle, waiting } = services.poolState();
    const states = { open: connections, idle, waited_for: waiting };
    for (const [state, count] of Object.entries(states)) pool.set({ state }, count);
  });
  gauge('moraine_pg_pool_wait_seconds', 'The longest that somebody waits for a connection.', [], (wait) =>
    wait.set(services.poolState().longestWaitMs / 1_000),
  );
  collectDefaultMetrics({ register: registers[0] });
}

/** What Postgres knows of the work of all. While it is away the page still says how this process is. */
function countWorkOf(services: Services, registers: [Registry]): void {
  let last: { at: number; counts: ReturnType<typeof countWork> } | null = null;
  const work = (): ReturnType<typeof countWork> => {
    if (!last || performance.now() - last.at > FRESH_MS) last = { at: performance.now(), counts: countWork(services) };
    return last.counts;
  };
  const show = async (metric: Gauge | Counter, of: 'tasks' | 'workers' | 'attempts'): Promise<void> => {
    metric.reset();
    const counts: readonly Count[] = await work().then(
      (all) => all[of],
      () => [],
    );
    for (const { labels, count } of counts) metric.inc(labels, count);
  };
  new Gauge({
    name: 'moraine_tasks',
    help: 'Tasks that have not ended, by kind, pool and status.',
    labelNames: ['kind', 'pool', 'status'],
    registers,
    collect() {
      return show(this, 'tasks');
    },
  });
  new Gauge({
    name: 'moraine_workers',
    help: 'Workers by pool and status.',
    labelNames: ['pool', 'status'],
    registers,
    collect() {
      return show(this, 'workers');
    },
  });
  new Counter({
    name: 'moraine_attempts_total',
    help: 'Attempts that have ended, by status and cause.',
    labelNames: ['status', 'cause'],
    registers,
    collect() {
      return show(this, 'attempts');
    },
  });
}

/** GET /metrics: this replica and the work of all, for Prometheus. It asks for a key. */
export const metrics = fp<{ services: Services }>(async (app, { services }) => {
  const registry = new Registry();
  countRequests(app, [registry]);
  measureProcess(app, services, [registry]);
  countWorkOf(services, [registry]);
  await app.register(async (scope) => {
    await scope.register(access, { services });
    scope.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
      reply.type(registry.contentType);
      return registry.metrics();
    });
  });
});
