import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { followRuns, migrate, openServices, type Reconciler, type Services, startReconciler } from '@moraine/services';
import { type OwnServers, startOwnServers } from '@moraine/testing/own-servers';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest';
import {
  attemptsOf,
  expectComplete,
  killSpawned,
  runOf,
  spawnWorker,
  submitRun,
  until,
  untilStatus,
  type WorkerProcess,
} from './helpers.js';

vi.setConfig({ testTimeout: 240_000 });

/** Servers of this file alone, because it kills them. */
const dir = mkdtempSync(join(tmpdir(), 'moraine-kill-'));
const workDir = join(dir, 'work');
const blobsDir = join(dir, 'blobs');
const LEASE_MS = 3_000;

let servers: OwnServers;
let s: Services;
let reconciler: Reconciler;
let worker: WorkerProcess | null = null;

beforeAll(async () => {
  servers = await startOwnServers(dir, { fsync: 'off' });
  await migrate(servers.databaseUrl);
  s = await openServices({
    databaseUrl: servers.databaseUrl,
    redisUrl: servers.redisUrl,
    blobsDir,
    log: pino({ level: process.env.LOG_LEVEL ?? 'silent' }),
  });
});
afterAll(async () => {
  await s.close();
  await servers.stop();
  rmSync(dir, { recursive: true, force: true });
});
beforeEach(() => {
  reconciler = startReconciler(s, { intervalMs: 300, leaseMs: LEASE_MS });
});
afterEach(async () => {
  killSpawned();
  worker = null;
  await reconciler.close();
});

const startWorker = (pool: string, name = 'w'): WorkerProcess =>
  spawnWorker(
    { databaseUrl: servers.databaseUrl, redisUrl: servers.redisUrl, blobsDir },
    { pool, name, workDir, leaseMs: LEASE_MS },
  );

const stepOf = async (id: string): Promise<number> => (await runOf(s, id)).step;
const untilStep = (id: string, step: number): Promise<void> =>
  until(`step ${step}`, async () => (await stepOf(id)) >= step);

/** What a browser holds at the end: points as they came, minus what a reset undid. */
async function watch(id: string, signal: AbortSignal): Promise<{ duplicates: number; attempts: Set<number> }> {
  const seen = new Set<string>();
  const attempts = new Set<number>();
  let duplicates = 0;
  for await (const { message } of followRuns(s, new Map([[id, null]]), signal)) {
    if (message.event !== 'metric') continue;
    const key = `${message.data.attempt} ${message.data.step}`;
    if (seen.has(key)) duplicates++;
    seen.add(key);
    attempts.add(message.data.attempt);
  }
  return { duplicates, attempts };
}

test('Postgres killed and away for longer than a lease: no attempt is lost and the metrics are complete', async () => {
  const pool = 'postgres';
  const id = await submitRun(s, { pool, steps: 800, stepMs: 10, every: 100 });
  worker = startWorker(pool);
  await untilStep(id, 50);
  await servers.kill('postgres');
  await sleep(LEASE_MS + 1_500);
  await servers.start('postgres');
  await untilStatus(s, id, 'succeeded');
  expect(await attemptsOf(s, id)).toMatchObject([{ attempt: 1, status: 'finished' }]);
  await expectComplete(s, id, 800);
});

test('Redis killed: metrics reach Postgres meanwhile, the live stream goes on, and no step is sent twice', async () => {
  const pool = 'redis';
  const id = await submitRun(s, { pool, steps: 800, stepMs: 10, every: 100 });
  const stop = new AbortController();
  const watching = watch(id, stop.signal);
  worker = startWorker(pool);
  await untilStep(id, 50);
  await servers.kill('redis');
  const before = await stepOf(id);
  await untilStep(id, before + 50);
  await servers.start('redis');
  await untilStatus(s, id, 'succeeded');
  expect(await attemptsOf(s, id)).toHaveLength(1);
  await expectComplete(s, id, 800);
  await sleep(1_000);
  stop.abort();
  expect(await watching).toEqual({ duplicates: 0, attempts: new Set([1]) });
});

test('a run that is submitted while Redis is away is taken all the same', async () => {
  const pool = 'submit';
  worker = startWorker(pool);
  await until('ready', async () => (await s.db.worker.findFirst({ where: { pool } }))?.status === 'ready');
  await servers.kill('redis');
  const id = await submitRun(s, { pool, steps: 20 });
  await sleep(500);
  await servers.start('redis');
  const began = Date.now();
  await untilStatus(s, id, 'succeeded');
  expect(Date.now() - began).toBeLessThan(15_000);
});

test('child, worker, reconciler, Redis and Postgres killed, each once during a run: it succeeds with each step once', async () => {
  const pool = 'all';
  const steps = 1_500;
  const id = await submitRun(s, { pool, steps, stepMs: 10, every: 50 });
  const stop = new AbortController();
  const watching = watch(id, stop.signal);
  worker = startWorker(pool, 'first');

  await untilStep(id, 120);
  const childOf = (): number =>
    Number(worker?.entries().findLast(({ msg }) => msg === 'training process started')?.childPid);
  process.kill(childOf(), 'SIGKILL');
  await until('a second attempt trains', async () => (await attemptsOf(s, id))[1]?.status === 'running');

  await untilStep(id, 300);
  await servers.kill('redis');
  await sleep(500);
  await servers.start('redis');

  await untilStep(id, 450);
  await servers.kill('postgres');
  await sleep(1_000);
  await servers.start('postgres');

  await untilStep(id, 600);
  await reconciler.close();
  reconciler = startReconciler(s, { intervalMs: 300, leaseMs: LEASE_MS });
  await worker.kill();
  worker = startWorker(pool, 'second');

  await untilStatus(s, id, 'succeeded');
  await expectComplete(s, id, steps);
  const attempts = await attemptsOf(s, id);
  expect(attempts.map(({ status, cause }) => [status, cause])).toEqual([
    ['failed', 'hardware'],
    ['lost', 'lost_worker'],
    ['finished', null],
  ]);
  expect(attempts[1]?.startStep).toBeGreaterThanOrEqual(100);
  expect(attempts[2]?.startStep).toBeGreaterThanOrEqual(550);
  await sleep(1_000);
  stop.abort();
  expect(await watching).toEqual({ duplicates: 0, attempts: new Set([1, 2, 3]) });
});
