import { type Count, countWork, type Services } from '@moraine/services';
import type { FastifyInstance } from 'fastify';
import fp from 'fastify-plugin';
import { access } from './access.js';

const BUCKETS_S = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Scrapes that come closer together share a count. */
const FRESH_MS = 5_000;

interface Durations {
  labels: Record<string, string>;
  /** Requests that took at most as long as the bucket of the same place. */
  within: number[];
  count: number;
  sumS: number;
}

const labelsOf = (labels: Record<string, string>): string =>
  Object.entries(labels)
    .map(
      ([name, value]) => `${name}="${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')}"`,
    )
    .join(',');

/** One metric in Prometheus' text format. */
const family = (name: string, type: 'gauge' | 'counter', help: string, counts: readonly Count[]): string =>
  [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...counts.map(({ labels, count }) => `${name}${labelsOf(labels) && `{${labelsOf(labels)}}`} ${count}`),
  ].join('\n');

const gauge = (name: string, help: string, count: number): string =>
  family(name, 'gauge', help, [{ labels: {}, count }]);

function histogram(name: string, help: string, all: Iterable<Durations>): string {
  const lines = [`# HELP ${name} ${help}`, `# TYPE ${name} histogram`];
  for (const { labels, within, count, sumS } of all) {
    const own = labelsOf(labels);
    for (const [i, le] of BUCKETS_S.entries()) lines.push(`${name}_bucket{${own},le="${le}"} ${within[i] ?? 0}`);
    lines.push(
      `${name}_bucket{${own},le="+Inf"} ${count}`,
      `${name}_sum{${own}} ${sumS}`,
      `${name}_count{${own}} ${count}`,
    );
  }
  return lines.join('\n');
}

/** Counts how long requests take, by method, route and status. */
function countRequests(app: FastifyInstance): () => Iterable<Durations> {
  const all = new Map<string, Durations>();
  app.addHook('onResponse', async (request, reply) => {
    const route = request.routeOptions.url ?? 'none';
    if (route === '/metrics') return;
    const labels = { method: request.method, route, status: String(reply.statusCode) };
    const key = Object.values(labels).join(' ');
    const durations = all.get(key) ?? { labels, within: BUCKETS_S.map(() => 0), count: 0, sumS: 0 };
    all.set(key, durations);
    const seconds = reply.elapsedTime / 1000;
    for (const [i, le] of BUCKETS_S.entries()) if (seconds <= le) durations.within[i] = (durations.within[i] ?? 0) + 1;
    durations.count++;
    durations.sumS += seconds;
  });
  return () => all.values();
}

/** GET /metrics: this replica and the work of all, for Prometheus. It asks for a key. */
export const metrics = fp<{ services: Services }>(async (app, { services }) => {
  const requests = countRequests(app);
  let last: { at: number; counts: ReturnType<typeof countWork> } | null = null;
  const work = (): ReturnType<typeof countWork> => {
    if (!last || performance.now() - last.at > FRESH_MS) last = { at: performance.now(), counts: countWork(services) };
    return last.counts;
  };
  const ofProcess = (): string[] => {
    const { meanMs, p99Ms, maxMs } = app.loopDelay();
    const { user, system } = process.cpuUsage();
    const { totalCount, idleCount, waitingCount } = services.pg;
    const connections = { open: totalCount, idle: idleCount, waited_for: waitingCount };
    return [
      histogram('moraine_http_request_duration_seconds', 'Time from a request to the end of its response.', requests()),
      family(
        'moraine_event_loop_delay_seconds',
        'gauge',
        'How late the event loop was in the last seconds.',
        Object.entries({ mean: meanMs, p99: p99Ms, max: maxMs }).map(([of, ms]) => ({
          labels: { of },
          count: ms / 1000,
        })),
      ),
      family(
        'moraine_pg_pool_connections',
        'gauge',
        'Connections to Postgres, and who waits for one.',
        Object.entries(connections).map(([state, count]) => ({ labels: { state }, count })),
      ),
      gauge(
        'moraine_pg_pool_wait_seconds',
        'The longest that somebody waits for a connection.',
        services.poolState().longestWaitMs / 1000,
      ),
      gauge('process_resident_memory_bytes', 'Resident memory.', process.memoryUsage.rss()),
      family('process_cpu_seconds_total', 'counter', 'Processor time.', [{ labels: {}, count: (user + system) / 1e6 }]),
    ];
  };
  await app.register(async (scope) => {
    await scope.register(access, { services });
    scope.get('/metrics', { schema: { hide: true } }, async (_request, reply) => {
      // While Postgres is away the page still says how this process is.
      const counts = await work().catch(() => null);
      const ofWork = counts && [
        family('moraine_tasks', 'gauge', 'Tasks that have not ended, by kind, pool and status.', counts.tasks),
        family('moraine_workers', 'gauge', 'Workers by pool and status.', counts.workers),
        family('moraine_attempts_total', 'counter', 'Attempts that have ended, by status and cause.', counts.attempts),
      ];
      reply.type('text/plain; version=0.0.4; charset=utf-8');
      return `${[...ofProcess(), ...(ofWork ?? [])].join('\n')}\n`;
    });
  });
});
