import { availableParallelism, hostname } from 'node:os';
import path from 'node:path';
import { AppError } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { chosenApiKey, databaseUrl, redisUrl } from '../env.js';
import { inRepo } from '../paths.js';
import { type KeptPart, keepRunning, type PartEvent, type RunningPart } from './keep-running.js';
import { endLeftover, startNodePart } from './node-part.js';
import { freePort, isPortFree } from './ports.js';
import { type RunningServer, startPostgres } from './postgres.js';
import { prepare } from './prepare.js';
import { identify, isRunning } from './processes.js';
import { startRedis } from './redis.js';
import { lockStack, type RememberedPart, readStack, type StackAddress, writeStack } from './stack-file.js';

export interface StackOptions {
  dataDir: string;
  /** Worker processes on this machine. TensorFlow's threads are shared out among them. */
  workers: number;
  /** Port of the API. Left out: the one it had last time, at first 7311, or another where that is taken. */
  port?: number;
  /** Address the API listens on; default 127.0.0.1. */
  host?: string;
  onEvent?: (event: PartEvent) => void;
  /** Gives up a start that is under way; what runs by then is stopped. */
  signal?: AbortSignal;
}

export interface Stack extends StackAddress {
  dataDir: string;
  logsDir: string;
  /** The parts whose logs are worth showing, with the files they are in. */
  logs: { part: string; file: string }[];
  parts: KeptPart[];
  /** Drains: workers save and give back what they have, then API, Redis and Postgres end. Embedded servers only. */
  stop(): Promise<void>;
  /** Ends everything at once. Nothing that was acknowledged is lost; runs go on from their last checkpoint. */
  kill(): Promise<void>;
}

const PORT = 7311;
const WORKER_STOP_MS = 30_000;
const API_STOP_MS = 5_000;

/**
 * Starts the whole stack and keeps it running: Postgres, Redis, migrations, API with dashboard, workers. Whatever a killed predecessor
 * left running is taken over. DATABASE_URL or REDIS_URL replace the embedded server of that kind.
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { dataDir, onEvent = () => {} } = options;
  const lock = lockStack(dataDir);
  const kept: KeptPart[] = [];
  try {
    return await build(options, onEvent, kept, lock.release);
  } catch (error) {
    for (const part of kept.toReversed()) await part.stop();
    const { supervisor: _, ...rest } = readStack(dataDir);
    writeStack(dataDir, { ...rest, supervisor: null });
    lock.release();
    throw error;
  }
}

async function build(
  { dataDir, workers, port: wantedPort, host = '127.0.0.1', signal }: StackOptions,
  onEvent: (event: PartEvent) => void,
  kept: KeptPart[],
  release: () => void,
): Promise<Stack> {
  const logsDir = path.join(dataDir, 'logs');
  makeFolder(logsDir);
  const logFile = (name: string): string => path.join(logsDir, `${name}.log`);
  const stack = readStack(dataDir);
  const leftovers = stack.parts.filter(isRunning);
  stack.supervisor = identify(process.pid);
  stack.parts = leftovers;
  const save = (): void => writeStack(dataDir, stack);

  const keep = async (name: string, start: () => Promise<RunningPart>): Promise<KeptPart> => {
    const part = await keepRunning(name, start, onEvent);
    kept.push(part);
    return part;
  };
  const keepServer = async (
    name: 'postgres' | 'redis',
    given: string | undefined,
    start: () => Promise<RunningServer>,
  ) => {
    if (given !== undefined) {
      stack[name] = { url: given };
      return;
    }
    await keep(name, async () => {
      const server = await start();
      const moved = stack[name] !== null && stack[name].url !== server.url;
      stack[name] = { url: server.url };
      save();
      // Its port was taken meanwhile: those who knew the old one start anew.
      if (moved)
        for (const part of kept) if (part.name === 'api' || part.name.startsWith('worker')) void part.restart();
      return { ...server, kill: server.stop };
    });
  };
  await allOf([
    keepServer('postgres', databaseUrl(), () =>
      startPostgres({ dir: path.join(dataDir, 'pg'), logFile: logFile('postgres') }),
    ),
    keepServer('redis', redisUrl(), () => startRedis({ dir: path.join(dataDir, 'redis'), logFile: logFile('redis') })),
  ]);

  signal?.throwIfAborted();
  const blobs = path.join(dataDir, 'blobs');
  const common = (): Record<string, string> => ({
    DATABASE_URL: stack.postgres?.url ?? '',
    REDIS_URL: stack.redis?.url ?? '',
    MORAINE_BLOBS: blobs,
    LOG_FORMAT: 'json',
  });
  stack.apiKey = await prepare(common(), chosenApiKey() ?? stack.apiKey);
  save();

  signal?.throwIfAborted();
  const remember = (part: RememberedPart): void => {
    stack.parts = [...stack.parts.filter(({ name }) => name !== part.name), part];
    save();
  };
  /** Each leftover is offered once: to the first start of its part. */
  const takeLeftover = (name: string): RememberedPart | undefined => {
    const at = leftovers.findIndex((part) => part.name === name);
    return at < 0 ? undefined : leftovers.splice(at, 1)[0];
  };

  const { apiKey } = stack;
  const leftoverApi = takeLeftover('api');
  const startApi = async (): Promise<StackAddress> => {
    const port = await choosePort(wantedPort, stack.api?.port, host, leftoverApi);
    const address = { origin: `http://${host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host}:${port}`, apiKey };
    stack.api = { url: address.origin, port };
    save();
    let leftover = leftoverApi;
    const start = (): Promise<RunningPart> => {
      const offered = leftover;
      leftover = undefined;
      return startNodePart({
        name: 'api',
        entry: inRepo('apps/api/dist/main.js'),
        env: { ...common(), HOST: host, PORT: String(port) },
        logFile: logFile('api'),
        leftover: offered,
        remember,
        isReady: () => isReady(address),
        signal,
        stopMs: API_STOP_MS,
      });
    };
    await keep('api', start);
    return address;
  };
  // Another program may take the port between the look and the use: where none was asked for, another one is chosen.
  const startingApi = startApi().catch((error: unknown) => {
    if (wantedPort || !String(error).includes('EADDRINUSE')) throw error;
    return startApi();
  });
  // TensorFlow's threads: the cores shared out.
  const threads = Math.max(1, Math.floor(availableParallelism() / Math.max(1, workers)));
  const names = Array.from({ length: workers }, (_, i) => `worker-${i + 1}`);
  const startWorkers = names.map((name) =>
    keep(name, () =>
      startNodePart({
        name,
        entry: inRepo('apps/worker/dist/main.js'),
        env: {
          ...common(),
          MORAINE_WORK_DIR: path.join(dataDir, 'work', name),
          MORAINE_WORKER_NAME: `${hostname()}-${name}`,
          MORAINE_THREADS: String(threads),
        },
        logFile: logFile(name),
        leftover: takeLeftover(name),
        remember,
        stopMs: WORKER_STOP_MS,
      }),
    ),
  );
  await allOf([startingApi, ...startWorkers]);
  const { origin } = await startingApi;
  // More workers ran last time.
  await Promise.all(leftovers.map((part) => endLeftover(part, WORKER_STOP_MS)));
  stack.parts = stack.parts.filter((part) => isRunning(part));
  save();

  const finish = async (how: 'stop' | 'kill'): Promise<void> => {
    const group = (belongs: (name: string) => boolean) =>
      Promise.all(kept.filter((part) => belongs(part.name)).map((part) => part[how]()));
    await group((name) => name.startsWith('worker'));
    await group((name) => name === 'api');
    await group((name) => name === 'redis');
    await group((name) => name === 'postgres');
    Object.assign(stack, { supervisor: null, parts: [] });
    save();
    release();
  };
  return {
    origin,
    apiKey,
    dataDir,
    logsDir,
    logs: ['api', ...names].map((part) => ({ part, file: logFile(part) })),
    parts: kept,
    stop: () => finish('stop'),
    kill: () => finish('kill'),
  };
}

/** Waits for all, then throws the first failure: what is still starting when another fails must be known, to be stopped. */
async function allOf(starts: Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(starts)) if (result.status === 'rejected') throw result.reason;
}

/** The port asked for, the one of last time, 7311, or a free one. A leftover API on the port of last time is no obstacle. */
async function choosePort(
  wanted: number | undefined,
  last: number | undefined,
  host: string,
  leftoverApi: RememberedPart | undefined,
): Promise<number> {
  const isOurs = (port: number): boolean => leftoverApi !== undefined && port === last;
  if (wanted !== undefined && wanted !== 0) {
    if (isOurs(wanted) || (await isPortFree(wanted, host))) return wanted;
    throw new AppError('unavailable', `Port ${wanted} of ${host} is taken by another program.`, {
      hint: 'Stop that program, give another --port, or leave the option out to have a free one chosen.',
      param: '--port',
    });
  }
  for (const port of wanted === 0 ? [] : [last, PORT])
    if (port !== undefined && (isOurs(port) || (await isPortFree(port, host)))) return port;
  return freePort();
}

/** True when the API of this key responds and reaches Postgres and Redis; that of another stack on the same address does not count. */
export async function isReady({ origin, apiKey }: StackAddress): Promise<boolean> {
  const ask = async (path: string): Promise<boolean> => {
    const headers = { authorization: `Bearer ${apiKey}` };
    const response = await fetch(`${origin}${path}`, { headers, signal: AbortSignal.timeout(3_000) });
    await response.arrayBuffer();
    return response.ok;
  };
  try {
    return (await ask('/readyz')) && (await ask('/v1/files?limit=1'));
  } catch {
    return false;
  }
}
