import { randomBytes } from 'node:crypto';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, explain } from '@moraine/contract';
import { openServed, type Served } from '@moraine/recipes';
import {
  fetchFolder,
  findBaseByHash,
  type ProcessNews,
  type ServedBase,
  type Services,
  startBeat,
} from '@moraine/services';
import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import { createInference } from './create-inference.js';
import type { InferenceEnv } from './env.js';
import { modelOf } from './model-of.js';
import { openRegistration, type Registration } from './registration.js';
import { type RequestCount, requestCount } from './request-count.js';
import { addResidencyRoutes } from './residency-routes.js';
import { servedFor } from './served-for.js';
import { trainedOn } from './trained.js';

export type ProcessSettings = Pick<
  InferenceEnv,
  'base' | 'workDir' | 'host' | 'port' | 'announcedHost' | 'rows' | 'contextMax' | 'memoryBytes' | 'idleMs'
> & { version: string; heartbeatMs?: number; drainMs?: number; signFile?: string | undefined };

export interface InferenceProcess {
  /** Where the API reaches it. */
  address: string;
  /** Takes nothing new, ends what it answers, and closes. */
  drain(): Promise<void>;
  /** Resolves when it has ended: drained, or idle for long enough. */
  ended: Promise<void>;
}

const HEARTBEAT_MS = 2_000;
const DRAIN_MS = 60_000;
/** Requests that chose this process just before it said that it ends. */
const LAST_CALL_MS = 300;

/**
 * A process of the stack that answers for one base: it registers, opens the base, listens and says so until it is drained or idle.
 * @throws AppError `not_found` for a base that is not in the library, and as `openServed` does; those who wait for it are told why.
 */
export async function startProcess(s: Services, settings: ProcessSettings, log: Logger): Promise<InferenceProcess> {
  const base = await findBaseByHash(s, settings.base);
  const secret = randomBytes(32).toString('base64url');
  const { rows, version, heartbeatMs = HEARTBEAT_MS } = settings;
  const facts = { baseSha256: base.sha256, secret, host: hostname(), pid: process.pid, version, rows };
  const registration = await openRegistration(s, facts, heartbeatMs, log);
  try {
    const served = await openBase(s, base, settings);
    const requests = requestCount();
    const trained = trainedOn(s, served, settings.workDir);
    const app = createInference({
      served: (request) => servedFor(served, trained, base.sha256, modelOf(request)),
      key: secret,
      log,
    });
    addResidencyRoutes(app, { trained, baseSha256: base.sha256, tell: registration.tell });
    requests.watch(app);
    await app.listen({ host: settings.host, port: settings.port });
    const address = addressOf(settings.announcedHost, app.server.address() as AddressInfo);
    await registration.ready(() => ({
      ...{ address, device: deviceOf(served), answering: requests.open(), adapters: trained.resident() },
    }));
    log.info({ address, base: base.sha256 }, 'ready');
    return { address, ...lifeOf({ app, served, requests, registration, settings, log }) };
  } catch (error) {
    await registration.end(explain(error)).catch(() => undefined);
    throw error;
  }
}

async function openBase(
  s: Services,
  base: ServedBase,
  { workDir, memoryBytes, rows, contextMax }: ProcessSettings,
): Promise<Served> {
  if (memoryBytes !== undefined && base.sizeBytes > memoryBytes)
    throw new AppError(
      'out_of_memory',
      `Its files have ${base.sizeBytes} bytes, this process may use ${memoryBytes}.`,
      {
        hint: 'Raise MORAINE_SERVE_MEMORY_BYTES, or serve it elsewhere: npx moraine serve.',
      },
    );
  const baseDir = await fetchFolder(s, base.blobPrefix, join(workDir, 'bases', base.sha256));
  return openServed({ baseDir, baseName: base.sha256, adapters: [], rows, contextMax, memoryBytes });
}

interface Life {
  app: FastifyInstance;
  served: Served;
  requests: RequestCount;
  registration: Registration;
  settings: ProcessSettings;
  log: Logger;
}

/** How a process ends: asked to, or after so long without a request. */
function lifeOf({ app, served, requests, registration, settings, log }: Life) {
  const { drainMs = DRAIN_MS, heartbeatMs = HEARTBEAT_MS } = settings;
  const { signFile } = settings;
  const sign = signFile === undefined ? null : startBeat(signFile, () => String(Math.round(requests.idleMs())));
  let ending: Promise<void> | null = null;
  let over: () => void = () => undefined;
  const ended = new Promise<void>((resolve) => {
    over = resolve;
  });
  const end = async (reason: string): Promise<void> => {
    log.info({ reason, answering: requests.open() }, 'draining');
    clearInterval(watch);
    await registration.drain();
    await sleep(LAST_CALL_MS);
    requests.refuse();
    const deadline = performance.now() + drainMs;
    while (requests.open() > 0 && performance.now() < deadline) await sleep(20);
    await app.close();
    await registration.end(null).catch(() => undefined);
    served.dispose();
    sign?.close();
    over();
  };
  const drain = (reason: string): Promise<void> => {
    ending ??= end(reason);
    return ending;
  };
  const watch = setInterval(() => {
    const { idleMs } = settings;
    if (idleMs !== null && requests.idleMs() >= idleMs) void drain('idle').catch(() => undefined);
  }, heartbeatMs);
  return { drain: () => drain('asked'), ended };
}

const addressOf = (host: string, { port }: AddressInfo): string =>
  `http://${host.includes(':') ? `[${host}]` : host}:${port}`;

function deviceOf({ device: { kind, name, tensorflow, bfloat16 } }: Served): ProcessNews['device'] {
  return { kind, name, tensorflow, bfloat16 };
}
