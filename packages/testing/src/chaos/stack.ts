import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeFolder } from '@moraine/contract/make-folder';
import { createApiKey, ensureDefaultProject, LEASE_MS, migrate, openServices, type Services } from '@moraine/services';
import { freePort, type RunningServer } from 'moraine/up';
import { pino } from 'pino';
import { ownEnv } from '../env.js';
import { type ServerName, startOwnServers } from '../own-servers.js';
import { openSmallDisk, type SmallDisk } from '../small-disk.js';
import { type Clocks, DATABASE, OTHERS, openClocks } from './clocks.js';
import { openFakeTime } from './fake-time.js';
import { type Part, startPart } from './process-part.js';

const here = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const BLOB_MEGABYTES = 384;
const REST_MEGABYTES = 768;
/** Room without which nothing is claimed. */
const RESERVE_BYTES = 16 * 2 ** 20;

/** What runs on the stack. */
export interface Training {
  script: string;
  /** How long an attempt may be silent. */
  leaseMs: number;
  env: Record<string, string>;
}

/** A stand-in, and leases that are shorter than those of production, in step with everything that waits for them. */
export const STAND_IN: Training = {
  script: here('../../../../apps/worker/test/fixtures/child.mjs'),
  leaseMs: 5_000,
  env: {
    MORAINE_FIXTURE_STEP_MS: '25',
    MORAINE_FIXTURE_CHECKPOINT: JSON.stringify({ bytes: 8 * 2 ** 20, ms: 60 }),
  },
};

/** The program that trains, with the leases of production. */
export const REAL: Training = { script: here('../../../../apps/worker/dist/attempt.js'), leaseMs: LEASE_MS, env: {} };

/** The whole service on servers of its own, each part a process that is started again when it ends. */
export interface ChaosStack {
  url: string;
  key: string;
  leaseMs: number;
  blobsDir: string;
  s: Services;
  api: Part;
  workers: readonly [Part, Part];
  /** Folder in which a worker keeps its attempts. */
  workDirOf(worker: Part): string;
  /** Starts another API and another worker beside those there are; returns how they end. */
  double(): () => Promise<void>;
  postgres(): RunningServer;
  redis(): RunningServer;
  /** Ends a server as a crash does, and starts it again. */
  crash(which: ServerName): Promise<void>;
  /** Starts the servers that have ended. */
  revive(): Promise<void>;
  clocks: Clocks;
  /** Of the blobs, and of all the rest: servers, attempts, logs. Null where this user may not mount. */
  disks: { blobs: SmallDisk; rest: SmallDisk } | null;
  close(): Promise<void>;
}

function openDisks(): ChaosStack['disks'] {
  const blobs = openSmallDisk(BLOB_MEGABYTES);
  const rest = openSmallDisk(REST_MEGABYTES);
  return blobs && rest && { blobs, rest };
}

interface PartSettings {
  databaseUrl: string;
  redisUrl: string;
  blobsDir: string;
  /** Path of a file or folder of the stack. */
  at(name: string): string;
  training: Training;
  /** Of the environment of each part. */
  others: Record<string, string>;
}

/** How the processes of ours are started. */
function partsOf({ databaseUrl, redisUrl, blobsDir, at, training, others }: PartSettings): {
  startApi(name: string, port: number): Part;
  startWorker(name: string): Part;
} {
  const { leaseMs, script } = training;
  return {
    startApi(name, port) {
      const env = ownEnv({
        ...others,
        DATABASE_URL: databaseUrl,
        REDIS_URL: redisUrl,
        MORAINE_BLOBS: blobsDir,
        PORT: String(port),
        MORAINE_RATE_LIMIT: '1000000',
      });
      return startPart(name, [here('./api.mjs'), String(leaseMs)], env, at(`${name}.log`));
    },
    startWorker(name) {
      makeFolder(at(name));
      const settings = {
        name,
        pool: 'default',
        script,
        workDir: at(name),
        version: '0',
        threads: 1,
        servers: { databaseUrl, redisUrl, blobsDir },
        leaseMs,
        renewEveryMs: leaseMs / 4,
        heartbeatMs: 1_000,
        pollEveryMs: 2_000,
        diskReserveBytes: RESERVE_BYTES,
        diskProbeEveryMs: 500,
      };
      const env = ownEnv({ ...others, ...training.env });
      return startPart(name, [here('./worker.mjs'), JSON.stringify(settings)], env, at(`${name}.log`));
    },
  };
}

export async function startChaosStack(training: Training): Promise<ChaosStack> {
  const { leaseMs } = training;
  const dir = mkdtempSync(path.join(tmpdir(), 'moraine-chaos-'));
  const disks = openDisks();
  const at = (name: string): string => path.join(disks?.rest.dir ?? dir, name);
  const fake = openFakeTime(dir);
  const others = fake?.env(OTHERS) ?? {};
  const settings = { max_connections: '60', max_wal_size: '64MB', min_wal_size: '32MB' };
  const servers = await startOwnServers(at(''), settings, { postgres: fake?.env(DATABASE) ?? {}, redis: others });
  const { databaseUrl, redisUrl } = servers;
  await migrate(databaseUrl);
  const clocks = await openClocks(fake, {
    databaseUrl,
    redisNow: async () => 1_000 * Number((await s.redis.time())[0]),
  });
  const blobsDir = path.join(disks?.blobs.dir ?? dir, 'blobs');
  const s = await openServices({ databaseUrl, redisUrl, blobsDir, log: pino({ level: 'silent' }), patience: 'work' });
  const project = await ensureDefaultProject(s);
  const { key } = await createApiKey(s, { projectId: project.id }, { name: 'chaos' });

  const { startApi, startWorker } = partsOf({ databaseUrl, redisUrl, blobsDir, at, training, others });
  const port = await freePort();
  const api = startApi('api', port);
  const workers = [startWorker('worker-1'), startWorker('worker-2')] as const;
  const doubles: Part[] = [];
  return {
    url: `http://127.0.0.1:${port}`,
    key,
    leaseMs,
    blobsDir,
    s,
    api,
    workers,
    workDirOf: ({ name }) => at(name),
    double() {
      // The same port: the second API finds it taken, ends, and is started again and again, as a second stack by mistake would be.
      const [second, worker] = [startApi('api-double', port), startWorker('worker-3')];
      doubles.push(second, worker);
      return async () => {
        await second.close();
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
    revive: () => servers.start('postgres', 'redis'),
    clocks,
    disks,
    async close() {
      for (const part of [api, ...workers, ...doubles]) await part.close();
      await s.close();
      await servers.stop();
      for (const disk of [disks?.blobs, disks?.rest]) disk?.close();
      fake?.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
