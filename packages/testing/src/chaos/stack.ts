import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '@moraine/contract/make-folder';
import { createApiKey, ensureDefaultProject, migrate, openServices, type Services } from '@moraine/services';
import { freePort, type RunningServer } from 'moraine/up';
import { pino } from 'pino';
import { type DatabaseClock, databaseClock } from '../database-clock.js';
import { ownEnv } from '../env.js';
import { type ServerName, startOwnServers } from '../own-servers.js';
import { openSmallDisk, type SmallDisk } from '../small-disk.js';
import { type Part, startPart } from './process-part.js';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const CHILD = here('../../../../apps/worker/test/fixtures/child.mjs');
const DISK_MEGABYTES = 256;

/** Leases of the short form are shorter than those of production, in step with everything that waits for them. */
export const LEASE_MS = 5_000;
export const STEP_MS = 25;

/** The whole service on servers of its own, each part a process that is started again when it ends. */
export interface ChaosStack {
  url: string;
  key: string;
  dir: string;
  s: Services;
  api: Part;
  workers: Part[];
  /** Starts another API and another worker beside those there are; returns how they end. */
  double(): () => Promise<void>;
  postgres(): RunningServer;
  redis(): RunningServer;
  /** Ends a server as a crash does, and starts it again. */
  crash(which: ServerName): Promise<void>;
  clock: DatabaseClock;
  /** Null where this user may not mount. */
  disk: SmallDisk | null;
  close(): Promise<void>;
}

export async function startChaosStack(): Promise<ChaosStack> {
  const dir = mkdtempSync(path.join(tmpdir(), 'moraine-chaos-'));
  const at = (name: string): string => path.join(dir, name);
  const servers = await startOwnServers(dir, { max_connections: '60' });
  const { databaseUrl, redisUrl } = servers;
  await migrate(databaseUrl);
  const clock = await databaseClock(databaseUrl);
  const disk = openSmallDisk(DISK_MEGABYTES);
  const blobsDir = path.join(disk?.dir ?? dir, 'blobs');
  const s = await openServices({ databaseUrl, redisUrl, blobsDir, log: pino({ level: 'silent' }), patience: 'work' });
  const project = await ensureDefaultProject(s);
  const { key } = await createApiKey(s, { projectId: project.id }, { name: 'chaos' });

  const startApi = (name: string, port: number): Part => {
    const env = ownEnv({
      DATABASE_URL: databaseUrl,
      REDIS_URL: redisUrl,
      MORAINE_BLOBS: blobsDir,
      PORT: String(port),
      MORAINE_RATE_LIMIT: '1000000',
    });
    return startPart(name, [here('./api.mjs'), String(LEASE_MS)], env, at(`${name}.log`));
  };
  const startWorker = (name: string): Part => {
    makeFolder(at(name));
    const settings = {
      name,
      pool: 'default',
      script: CHILD,
      workDir: at(name),
      version: '0',
      threads: 1,
      servers: { databaseUrl, redisUrl, blobsDir },
      leaseMs: LEASE_MS,
      renewEveryMs: LEASE_MS / 4,
      heartbeatMs: 1_000,
      pollEveryMs: 2_000,
      diskReserveBytes: 4 * 2 ** 20,
      diskProbeEveryMs: 500,
    };
    const env = ownEnv({ MORAINE_FIXTURE_STEP_MS: String(STEP_MS) });
    return startPart(name, [here('./worker.mjs'), JSON.stringify(settings)], env, at(`${name}.log`));
  };
  const port = await freePort();
  const api = startApi('api', port);
  const workers = [startWorker('worker-1'), startWorker('worker-2')];
  const doubles: Part[] = [];
  return {
    url: `http://127.0.0.1:${port}`,
    key,
    dir,
    s,
    api,
    workers,
    double() {
      // The same port: the second API finds it taken, ends, and is started again and again, as a second stack by mistake would be.
      const [api, worker] = [startApi('api-double', port), startWorker('worker-3')];
      doubles.push(api, worker);
      return async () => {
        await api.close();
        // Killed, it would take an attempt with it that nothing was wrong with.
        await worker.stop();
        doubles.length = 0;
      };
    },
    postgres: servers.postgres,
    redis: servers.redis,
    async crash(which) {
      await servers.kill(which);
      await servers.start(which);
    },
    clock,
    disk,
    async close() {
      for (const part of [api, ...workers, ...doubles]) await part.close();
      await s.close();
      await servers.stop();
      disk?.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
