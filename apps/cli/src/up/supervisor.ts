import { readFileSync, rmSync, statSync } from 'node:fs';
import { availableParallelism, hostname } from 'node:os';
import path from 'node:path';
import { explain } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { chosenApiKey, databaseUrl, logLimits, redisUrl, servingLimits } from '../env.js';
import { inRepo } from '../paths.js';
import { isAnswering, isReady, startApi } from './api-part.js';
import { type KeptPart, keepRunning, type Liveness, type PartEvent, type RunningPart } from './keep-running.js';
import { keepLogsSmall } from './log-rotation.js';
import { endLeftover, startNodePart } from './node-part.js';
import { type RunningServer, startPostgres } from './postgres.js';
import { prepare } from './prepare.js';
import { identify, isRunning, leadersWith, type ProcessId, parentOf } from './processes.js';
import { startRedis } from './redis.js';
import { nameOf, type OnWish, type ServingPart, serveOnWish } from './serve-on-wish.js';
import { lockStack, type RememberedPart, readStack, type StackAddress, saveStack } from './stack-file.js';

export { isReady } from './api-part.js';

export interface StackOptions {
  dataDir: string;
  /** Worker processes on this machine. TensorFlow's threads are shared out among them. */
  workers: number;
  /** Port of the API. Left out: the one it had last time, at first 7311, or another where that is taken. */
  port?: number;
  /** Address the API listens on; default 127.0.0.1. */
  host?: string;
  onEvent?: (event: PartEvent) => void;
  /** When a part that does not respond is ended and started again. */
  liveness?: Liveness;
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

const WORKER_STOP_MS = 30_000;
/** Longer than an inference process' drain takes at most. */
const INFERENCE_STOP_MS = 70_000;
/** Longer than the API's drain takes at most (MORAINE_DRAIN_TIMEOUT_MS and what closing takes). */
const API_STOP_MS = 40_000;

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
    saveStack(dataDir, { ...rest, supervisor: null });
    lock.release();
    throw error;
  }
}

async function build(
  { dataDir, workers, port: wantedPort, host = '127.0.0.1', liveness, signal }: StackOptions,
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
  /** A disk that is full must not end a start half way, with a process that nobody knows: the file is written with the next change. */
  const save = (): void => {
    try {
      saveStack(dataDir, stack);
    } catch (error) {
      if (!['ENOSPC', 'EDQUOT'].includes(String((error as NodeJS.ErrnoException).code))) throw error;
      onEvent({ part: 'stack.json', type: 'failed', message: explain(error), restartMs: 0 });
    }
  };
  await endStrays(dataDir, leftovers);

  const keep = async (name: string, start: () => Promise<RunningPart>): Promise<KeptPart> => {
    const part = await keepRunning(name, start, onEvent, liveness);
    kept.push(part);
    return part;
  };
  let serving: OnWish | null = null;
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
      if (moved) serving?.listen(server.url);
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
    [MARK]: dataDir,
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
  const origin = (): string => stack.api?.url ?? '';
  const startingApi = keep('api', () =>
    startApi({
      port: wantedPort,
      lastPort: stack.api?.port,
      host,
      leftover: takeLeftover('api'),
      onPort: (port) => {
        stack.api = { url: `http://${host === '0.0.0.0' || host === '::' ? '127.0.0.1' : host}:${port}`, port };
        save();
      },
      startOn: (port, leftover) =>
        startNodePart({
          name: 'api',
          entry: inRepo('apps/api/dist/main.js'),
          // Nobody balances a load here: nothing is won by waiting.
          env: { ...common(), HOST: host, PORT: String(port), MORAINE_DRAIN_DELAY_MS: '0' },
          logFile: logFile('api'),
          leftover,
          remember,
          isReady: (instance) => isReady({ origin: origin(), apiKey }, instance),
          isAlive: (instance) => isAnswering(origin(), instance),
          signal,
          stopMs: API_STOP_MS,
        }),
    }),
  );
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
        isAlive: beatOf(path.join(dataDir, 'work', name, 'alive')),
        stopMs: WORKER_STOP_MS,
      }),
    ),
  );
  const { processesMax, idleMs } = servingLimits();
  const startInference = async (base: string): Promise<ServingPart> => {
    const workDir = path.join(dataDir, 'work', 'inference');
    const sign = path.join(workDir, `${nameOf(base)}.alive`);
    // That of an earlier process says nothing of this one, which has none until it answers.
    rmSync(sign, { force: true });
    const part = await startNodePart({
      name: nameOf(base),
      entry: inRepo('apps/inference/dist/main.js'),
      env: {
        ...common(),
        MORAINE_WORK_DIR: workDir,
        MORAINE_SERVE_BASE: base,
        MORAINE_SERVE_IDLE_MS: String(idleMs),
        MORAINE_SERVE_SIGN: sign,
      },
      logFile: logFile('inference'),
      leftover: undefined,
      remember,
      isAlive: beatOf(sign),
      stopMs: INFERENCE_STOP_MS,
    });
    return { ...part, idleMs: () => idleIn(sign) };
  };
  await allOf([startingApi, ...startWorkers]);
  serving = serveOnWish({ processesMax, start: startInference, onEvent, ...(liveness && { liveness }) });
  serving.listen(stack.redis?.url ?? '');
  // More workers ran last time, or a base was served.
  await Promise.all(leftovers.map((part) => endLeftover(part, WORKER_STOP_MS)));
  stack.parts = stack.parts.filter((part) => isRunning(part));
  save();

  const logged = ['postgres', 'redis', 'api', 'inference', ...names].map(logFile);
  const endRotation = keepLogsSmall(() => logged, logLimits());
  const finish = async (how: 'stop' | 'kill'): Promise<void> => {
    endRotation();
    const group = (belongs: (name: string) => boolean) =>
      Promise.all(kept.filter((part) => belongs(part.name)).map((part) => part[how]()));
    await Promise.all([group((name) => name.startsWith('worker')), serving?.[how]()]);
    await group((name) => name === 'api');
    await group((name) => name === 'redis');
    await group((name) => name === 'postgres');
    Object.assign(stack, { supervisor: null, parts: [] });
    save();
    release();
  };
  return {
    // Another one after a start on another port.
    get origin() {
      return origin();
    },
    apiKey,
    dataDir,
    logsDir,
    logs: ['api', 'inference', ...names].map((part) => ({ part, file: logFile(part) })),
    parts: kept,
    stop: () => finish('stop'),
    kill: () => finish('kill'),
  };
}

/** Waits for all, then throws the first failure: what is still starting when another fails must be known, to be stopped. */
async function allOf(starts: Promise<unknown>[]): Promise<void> {
  for (const result of await Promise.allSettled(starts)) if (result.status === 'rejected') throw result.reason;
}

/** In the environment of each part of ours: by it a part is found that no file remembers. */
const MARK = 'MORAINE_STACK';

/** Ends parts of this folder that are not remembered, because the file was damaged or its writer was killed first. */
async function endStrays(dataDir: string, remembered: readonly ProcessId[]): Promise<void> {
  // What a worker trains with leads a group of its own, and belongs to the worker.
  const isOurs = (pid: number): boolean => remembered.some((part) => part.pid === pid || part.pid === parentOf(pid));
  const strays = leadersWith(MARK, dataDir).filter(({ pid }) => !isOurs(pid));
  await Promise.all(strays.map((stray) => endLeftover(stray, WORKER_STOP_MS)));
}

/** Whether a file was touched since the last question; true where there is none to look at. */
function beatOf(file: string): () => Promise<boolean> {
  let last: number | null = null;
  return async () => {
    const now = statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? null;
    const isNew = now === null || now !== last;
    last = now;
    return isNew;
  };
}

/** For how long nobody has asked an inference process, as its sign of life has it; null without one. */
function idleIn(sign: string): number | null {
  try {
    const ms = Number.parseFloat(readFileSync(sign, 'utf8'));
    // It is empty while it is written.
    return Number.isFinite(ms) ? ms : null;
  } catch {
    return null;
  }
}
