import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  type CheckpointObject,
  type EvaluationObject,
  type EventObject,
  type LogLine,
  listOf,
  methodRow,
  type NotFinite,
  RunMetrics,
  RunObject,
  RunSummary,
  StreamMessage,
  WorkerObject,
} from '@moraine/contract';
import { fail, json, list, page } from './fixture-answer.js';
import { FixtureModels } from './fixture-models.js';

const DIST = fileURLToPath(new URL('../../dist/', import.meta.url));
const TYPES: Record<string, string> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
};
/** What the API sends: nothing inline, nothing evaluated, nothing from elsewhere. */
const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; base-uri 'self'";

interface Point {
  step: number;
  attempt: number;
  values: Record<string, number>;
}

interface Held {
  run: RunObject;
  points: Point[];
  stream: { id: string; event: string; data: string }[];
  readers: Set<ServerResponse>;
  events: EventObject[];
  checkpoints: CheckpointObject[];
  evaluations: EvaluationObject[];
  logs: LogLine[];
}

/**
 * The API's answers for the pages' states that a real stack cannot be brought into on demand: 500 runs, 20,000 points, a lost server.
 * It serves the built pages under the API's content security policy. Every answer passes the contract's schema. Driven by its methods.
 */
export class FixtureServer {
  readonly held = new Map<string, Held>();
  workers: WorkerObject[] = [];
  isSignedIn = true;
  readonly models = new FixtureModels();
  /** Requests that were answered, as `METHOD path?query`. */
  readonly seen: string[] = [];
  private server: Server | null = null;
  private port = 0;
  private sequence = 0;
  private heart: NodeJS.Timeout | undefined;
  /** Requests that came while the server hangs. */
  private hung: (() => void)[] | null = null;

  async listen(): Promise<string> {
    this.server = createServer((req, res) => {
      if (this.hung) this.hung.push(() => this.answer(req, res));
      else this.answer(req, res);
    });
    this.heart = setInterval(() => {
      for (const reader of this.readers()) if (!this.hung) reader.write(': heartbeat\n\n');
    }, 2000);
    await new Promise<void>((resolve) => this.server?.listen(this.port, '127.0.0.1', resolve));
    this.port = (this.server.address() as AddressInfo).port;
    return `http://127.0.0.1:${this.port}`;
  }

  /** Takes connections and says nothing more, as a process that is stopped does. */
  hang(): void {
    this.hung = [];
  }

  /** Goes on, with all that was asked meanwhile. */
  goOn(): void {
    const asked = this.hung ?? [];
    this.hung = null;
    for (const answer of asked) answer();
  }

  /** Goes on without what was asked meanwhile: those requests are never answered. */
  forget(): void {
    this.hung = null;
  }

  /** Every open stream. */
  readers(): Set<ServerResponse> {
    return new Set([...this.held.values()].flatMap(({ readers }) => [...readers]));
  }

  async close(): Promise<void> {
    clearInterval(this.heart);
    this.server?.closeAllConnections();
    await new Promise<void>((resolve) => (this.server ? this.server.close(() => resolve()) : resolve()));
    this.server = null;
  }

  add(run: RunObject, part: Partial<Omit<Held, 'run' | 'readers' | 'stream'>> = {}): string {
    this.held.set(run.id, {
      run,
      points: [],
      stream: [],
      readers: new Set(),
      events: [],
      checkpoints: [],
      evaluations: [],
      logs: [],
      ...part,
    });
    return run.id;
  }

  patch(id: string, part: Partial<RunObject>): void {
    const held = this.get(id);
    held.run = RunObject.parse({ ...held.run, ...part });
    const { status, state, state_reason } = held.run;
    this.send(id, {
      event: 'status',
      data: { status, state, state_reason, attempt: held.run.attempts.at(-1)?.attempt ?? 0 },
    });
  }

  point(id: string, point: Point): void {
    this.get(id).points.push(point);
    const { step, attempt } = point;
    this.send(id, { event: 'metric', data: { step, attempt, at: Date.now() / 1000, ...apart(point.values) } });
  }

  send(id: string, message: StreamMessage): void {
    const held = this.get(id);
    const { event, data } = StreamMessage.parse(message);
    this.sequence += 1;
    const entry = { id: `${Date.now()}-${this.sequence}`, event, data: JSON.stringify(data) };
    held.stream.push(entry);
    if (!this.hung) for (const reader of held.readers) reader.write(frame(id, entry));
  }

  /** Cuts every open stream, as a proxy does. */
  cutStreams(): void {
    for (const reader of this.readers()) reader.destroy();
  }

  signOut(): void {
    this.isSignedIn = false;
  }

  get(id: string): Held {
    const held = this.held.get(id);
    if (!held) throw new Error(`No run ${id} in the fixture.`);
    return held;
  }

  private answer(req: IncomingMessage, res: ServerResponse): ServerResponse {
    const url = new URL(req.url ?? '/', 'http://fixture');
    this.seen.push(`${req.method} ${url.pathname}${url.search}`);
    if (url.pathname === '/hold') return res;
    if (!url.pathname.startsWith('/v1/')) return serveFile(url.pathname, res);
    if (!this.isSignedIn) return fail(res, 401, 'missing_api_key', 'No session: log in first.');
    const [, , room = '', second = '', third = '', fourth = ''] = url.pathname.split('/');
    const query = url.searchParams;
    if (room === 'stream') return this.answerStream(query.get('runs') ?? '', res);
    if (room === 'models') return this.models.list(res);
    if (room === 'chat') return this.models.answer(req, res);
    if (room === 'workers') return json(res, listOf(WorkerObject).parse(list(this.workers)));
    if (room === 'runs' && !second) return this.answerRuns(query, res);
    const isJobs = room === 'fine_tuning' && second === 'jobs';
    const held = this.held.get(isJobs ? third : second);
    if (!held) return fail(res, 404, 'not_found', `There is no run ${isJobs ? third : second}.`);
    const verb = isJobs ? fourth : third;
    if (verb === '') return json(res, RunObject.parse(held.run));
    const asked = { cancel: 'cancelling', pause: 'pausing', resume: null }[verb];
    if (asked !== undefined) {
      this.patch(held.run.id, { state: asked as RunObject['state'] });
      return json(res, held.run);
    }
    if (verb === 'events') return json(res, page([...held.events].reverse(), query));
    if (verb === 'checkpoints') return json(res, page([...held.checkpoints].reverse(), query));
    if (verb === 'evaluations') return json(res, list(held.evaluations));
    if (verb === 'logs') {
      const lines = held.logs.filter(
        ({ seq, attempt }) =>
          seq > Number(query.get('after') ?? 0) && attempt === Number(query.get('attempt') ?? attempt),
      );
      const most = Number(query.get('limit') ?? 1000);
      return json(res, { object: 'list', data: lines.slice(0, most), has_more: lines.length > most });
    }
    if (verb === 'metrics') return json(res, RunMetrics.parse(metricsOf(held, query)));
    return fail(res, 404, 'route_not_found', `Nothing at ${url.pathname}.`);
  }

  /** As `searchRuns` of the services does it, for words, pairs and the order by time. */
  private answerRuns(query: URLSearchParams, res: ServerResponse): ServerResponse {
    const ids = query.get('ids')?.split(',');
    const terms = (query.get('q') ?? '').toLowerCase().split(' ').filter(Boolean);
    const wanted = [...this.held.values()]
      .map(({ run }) => ({ run, row: summaryOf(run) }))
      .filter(({ run }) => !query.get('status') || run.status === query.get('status'))
      .filter(({ run }) => !ids || ids.includes(run.id))
      .filter(({ run, row }) => terms.every((term) => textOf(run, row).includes(term)))
      .map(({ row }) => row)
      .sort((a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1));
    const total_count = query.get('count') === 'true' ? wanted.length : null;
    return json(res, { ...listOf(RunSummary).parse(page(wanted, query)), total_count });
  }

  private answerStream(runs: string, res: ServerResponse): ServerResponse {
    res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' });
    res.write('retry: 2000\n\n');
    res.setMaxListeners(0);
    for (const item of runs.split(',')) {
      const [runId = '', from] = item.split('@');
      const held = this.get(runId);
      const start = from === undefined ? 0 : held.stream.findIndex(({ id }) => id === from) + 1;
      for (const entry of held.stream.slice(start)) res.write(frame(runId, entry));
      held.readers.add(res);
      res.on('close', () => held.readers.delete(res));
    }
    return res;
  }
}

const textOf = (run: RunObject, { name, id, model, method }: RunSummary): string =>
  [name, id, model, method.name, ...Object.entries(run.metadata).map(([key, value]) => `${key}=${value}`)]
    .join(' ')
    .toLowerCase();

function summaryOf(run: RunObject): RunSummary {
  const { adapter } = run.config;
  const method = methodRow(adapter);
  return RunSummary.parse({
    ...run,
    object: 'run.summary',
    name: run.suffix ?? (run.metadata.name || run.id),
    method: {
      type: method.type,
      name: method.name,
      kind: method.kind(adapter),
      color: method.color,
      rank: 'rank' in adapter ? adapter.rank : null,
    },
    trainable_parameters: run.config.trainable_parameters,
    learning_rate: run.config.optimizer.learning_rate,
  });
}

/** Values, and apart from them those that are no numbers, as JSON can say it. */
function apart(values: Record<string, number>): {
  values: Record<string, number>;
  not_finite?: Record<string, NotFinite>;
} {
  const [finite, others] = [true, false].map((is) =>
    Object.entries(values).filter(([, value]) => Number.isFinite(value) === is),
  );
  if (!others?.length) return { values };
  return {
    values: Object.fromEntries(finite ?? []),
    not_finite: Object.fromEntries(others.map(([name, value]) => [name, String(value) as NotFinite])),
  };
}

const frame = (runId: string, { id, event, data }: { id: string; event: string; data: string }): string =>
  `id: ${runId}@${id}\nevent: ${event}\ndata: ${data}\n\n`;

function metricsOf({ run, points, stream }: Held, query: URLSearchParams): RunMetrics {
  const from = Number(query.get('from') ?? 0);
  const to = Number(query.get('to') ?? Number.MAX_SAFE_INTEGER);
  const most = Number(query.get('buckets') ?? 1000);
  const inside = points.filter(({ step }) => step >= from && step <= to);
  const last = inside.at(-1)?.step ?? 0;
  let every = 1;
  while ((last - from) / every > most) every *= 2;
  const names = new Set(inside.flatMap(({ values }) => Object.keys(values)));
  return {
    object: 'run.metrics',
    run_id: run.id,
    last_event_id: stream.at(-1)?.id ?? null,
    series: [...names].map((name) => {
      const buckets = new Map<
        number,
        { step: number; n: number; mean: number; min: number; max: number; last: number }
      >();
      for (const { step, values } of inside) {
        const value = values[name];
        if (value === undefined || !Number.isFinite(value)) continue;
        const start = Math.floor(step / every) * every;
        const old = buckets.get(start);
        buckets.set(
          start,
          old
            ? {
                step: start,
                n: old.n + 1,
                mean: (old.mean * old.n + value) / (old.n + 1),
                min: Math.min(old.min, value),
                max: Math.max(old.max, value),
                last: value,
              }
            : { step: start, n: 1, mean: value, min: value, max: value, last: value },
        );
      }
      const not_finite = inside.flatMap(({ step, values }) => {
        const value = apart(values).not_finite?.[name];
        return value === undefined ? [] : [{ step: Math.floor(step / every) * every, value }];
      });
      return { name, every, points: [...buckets.values()], ...(not_finite.length > 0 && { not_finite }) };
    }),
  };
}

function serveFile(path: string, res: ServerResponse): ServerResponse {
  const wanted = join(DIST, normalize(path));
  const file =
    wanted.startsWith(DIST) && existsSync(wanted) && statSync(wanted).isFile() ? wanted : join(DIST, 'index.html');
  res.writeHead(200, {
    'content-type': TYPES[extname(file)] ?? 'application/octet-stream',
    'content-security-policy': POLICY,
  });
  return createReadStream(file).pipe(res);
}
