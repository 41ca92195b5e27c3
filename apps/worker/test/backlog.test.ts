import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { migrate, openServices, type Reconciler, type Services, startReconciler } from '@moraine/services';
import { type OwnServers, startOwnServers } from '@moraine/testing/own-servers';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest';
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

vi.setConfig({ testTimeout: 120_000 });

/** Servers of this file alone, because it kills them. */
const dir = mkdtempSync(join(tmpdir(), 'moraine-backlog-'));
const workDir = join(dir, 'work');
const blobsDir = join(dir, 'blobs');

let servers: OwnServers;
let s: Services;
let reconciler: Reconciler;

beforeAll(async () => {
  servers = await startOwnServers(dir, { fsync: 'off' });
  await migrate(servers.databaseUrl);
  const log = pino({ level: process.env.LOG_LEVEL ?? 'silent' });
  s = await openServices({ databaseUrl: servers.databaseUrl, redisUrl: servers.redisUrl, blobsDir, log });
  // A long lease: the attempt is its worker's until that one is back.
  reconciler = startReconciler(s, { intervalMs: 300, leaseMs: 60_000 });
});
afterEach(killSpawned);
afterAll(async () => {
  await reconciler.close();
  await s.close();
  await servers.stop();
  rmSync(dir, { recursive: true, force: true });
});

const startWorker = (pool: string, settings: Record<string, unknown> = {}): WorkerProcess =>
  spawnWorker(
    { databaseUrl: servers.databaseUrl, redisUrl: servers.redisUrl, blobsDir },
    { pool, workDir, leaseMs: 60_000, ...settings },
  );
const untilStep = (id: string, step: number): Promise<void> =>
  until(`step ${step}`, async () => (await runOf(s, id)).step >= step);

/** The folder in which an attempt's words wait, and how much they are. */
function waiting(id: string): { text: string; sizeBytes: number } {
  for (const worker of readdirSync(workDir)) {
    const folder = join(workDir, worker, `${id}-1.backlog`);
    if (!existsSync(folder)) continue;
    const files = readdirSync(folder).filter((name) => name !== 'claim');
    const bytes = Buffer.concat(files.map((name) => readFileSync(join(folder, name))));
    return { text: bytes.toString('latin1'), sizeBytes: bytes.length };
  }
  return { text: '', sizeBytes: 0 };
}

test('Postgres and Redis away, the rest of the run said meanwhile, the worker killed: the next one stores it, nothing lost and nothing twice', async () => {
  const pool = 'killed';
  const steps = 400;
  const id = await submitRun(s, { pool, steps, stepMs: 5, every: 50 });
  const first = startWorker(pool);
  await untilStep(id, 20);
  await servers.kill('postgres', 'redis');
  await until('the last word waits on disk', () => waiting(id).text.includes('finished'));
  await first.kill();
  await servers.start('postgres', 'redis');
  startWorker(pool);
  await untilStatus(s, id, 'succeeded');
  expect(await attemptsOf(s, id)).toMatchObject([{ attempt: 1, status: 'finished' }]);
  await expectComplete(s, id, steps);
  const checkpoints = await s.db.checkpoint.findMany({ where: { runId: id }, orderBy: { step: 'asc' } });
  expect(checkpoints.at(-1)?.step).toBe(steps);
  const events = await s.db.event.findMany({ where: { taskId: id } });
  const steplines = events.filter(({ message }) => message.startsWith('Step ')).map(({ message }) => message);
  expect([steplines.length, new Set(steplines).size]).toEqual([50, 50]);
  const lines = await s.db.logLine.findMany({ where: { taskId: id }, orderBy: { line: 'asc' } });
  expect(lines.map(({ line }) => line)).toEqual(lines.map((_, i) => i + 1));
  await until('its folder is gone', () => waiting(id).text === '' && readdirSync(workDir).length <= 3);
});

test('what another attempt has taken over meanwhile is not written by the one that comes back', async () => {
  const pool = 'overtaken';
  const id = await submitRun(s, { pool, steps: 300, stepMs: 5, every: 50 });
  const first = startWorker(pool);
  await untilStep(id, 20);
  await servers.kill('postgres');
  await until('the last word waits on disk', () => waiting(id).text.includes('finished'));
  await first.kill();
  await servers.start('postgres');
  await until('Postgres is back', async () => (await runOf(s, id)).status === 'running');
  await s.db.attempt.update({ where: { taskId_attempt: { taskId: id, attempt: 1 } }, data: { status: 'lost' } });
  await s.db.task.update({ where: { id }, data: { status: 'queued', state: null, submission: 2 } });
  const second = startWorker(pool);
  await untilStatus(s, id, 'succeeded');
  expect(await attemptsOf(s, id)).toMatchObject([
    { attempt: 1, status: 'lost' },
    { attempt: 2, status: 'finished' },
  ]);
  await expectComplete(s, id, 300);
  expect(second.entries().map(({ msg }) => msg)).toContain(
    'the run has ended or another worker has it: nothing of it is written',
  );
});

test('a backlog at its limit holds the training instead of growing, and it goes on when Postgres is back', async () => {
  const pool = 'full';
  const steps = 600;
  const limit = 20_000;
  const id = await submitRun(s, { pool, steps, stepMs: 4, every: 1_000 });
  const worker = startWorker(pool, { backlogLimitBytes: limit });
  await untilStep(id, 20);
  await servers.kill('postgres');
  const said = (text: string) => worker.entries().some(({ msg }) => msg === text);
  await until('it is held', () => said('too much waits to be stored; training is held'));
  await sleep(500);
  const { sizeBytes } = waiting(id);
  expect(sizeBytes).toBeGreaterThanOrEqual(limit);
  await sleep(1_500);
  expect(waiting(id).sizeBytes).toBe(sizeBytes);
  expect(sizeBytes).toBeLessThan(2 * limit);
  await servers.start('postgres');
  await untilStatus(s, id, 'succeeded');
  expect(said('training goes on')).toBe(true);
  expect(await attemptsOf(s, id)).toHaveLength(1);
  await expectComplete(s, id, steps);
});
