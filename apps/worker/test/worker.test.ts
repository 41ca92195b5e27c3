import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  cancelRun,
  cordonWorker,
  drainWorker,
  pauseRun,
  resumeRun,
  type Services,
  startReconciler,
  uncordonWorker,
} from '@moraine/services';
import { type TestServices, testServices } from '@moraine/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { type RunningWorker, startWorker, type WorkerSettings } from '../src/supervisor.js';
import {
  attemptsOf,
  childScript,
  expectComplete,
  killSpawned,
  runOf,
  spawnWorker,
  submitRun,
  until,
  untilStatus,
} from './helpers.js';

vi.setConfig({ testTimeout: 180_000 });

let t: TestServices;
let s: Services;
const workDir = mkdtempSync(join(tmpdir(), 'moraine-worker-'));
const log = pino({ level: process.env.LOG_LEVEL ?? 'silent' });

beforeAll(async () => {
  t = await testServices();
  s = t.services;
});
afterAll(async () => {
  killSpawned();
  await t.close();
});

const start = (pool: string, settings: Partial<WorkerSettings> = {}): RunningWorker =>
  startWorker(
    s,
    {
      name: `w-${pool}`,
      pool,
      script: childScript,
      workDir,
      version: '0',
      renewEveryMs: 500,
      heartbeatMs: 300,
      ...settings,
    },
    log,
  );

async function withWorker(
  pool: string,
  settings: Partial<WorkerSettings>,
  work: (worker: RunningWorker) => Promise<void>,
): Promise<void> {
  const worker = start(pool, settings);
  try {
    await work(worker);
  } finally {
    await worker.drain();
  }
}

const eventsOf = async (taskId: string) =>
  (await s.db.event.findMany({ where: { taskId, type: 'message' }, orderBy: { seq: 'asc' } })).map(
    ({ message }) => message,
  );

describe('a run', () => {
  test('goes from queued to succeeded with metrics, checkpoints, logs, adapter and result file', async () => {
    const pool = 'whole';
    const id = await submitRun(s, { pool, lateLine: 'a line behind the last word' });
    await withWorker(pool, {}, async () => {
      await untilStatus(s, id, 'succeeded');
      const run = await runOf(s, id);
      expect(run).toMatchObject({ step: 100, trainedTokens: 1000n, state: null, attempt: 1 });
      await expectComplete(s, id, 100);
      const checkpoints = await s.db.checkpoint.findMany({ where: { runId: id }, orderBy: { step: 'asc' } });
      expect(checkpoints.map(({ step, deletedAt }) => [step, deletedAt === null])).toEqual([
        [20, false],
        [40, false],
        [60, true],
        [80, true],
        [100, true],
      ]);
      const [adapter] = await s.db.adapter.findMany({ where: { runId: id } });
      expect(await s.blobs.list(adapter?.blobKey ?? '')).toMatchObject([{ path: 'adapter.txt' }]);
      expect(await s.db.file.findUniqueOrThrow({ where: { id: run.resultFileId ?? '' } })).toMatchObject({
        purpose: 'fine-tune-results',
      });
      expect(await eventsOf(id)).toEqual([
        'Training starts: 100 steps over 3 rows, 1 of 2 parameters, on fixture (TensorFlow none, 1 threads)',
        ...[20, 40, 60, 80, 100].map((step) => `Checkpoint saved at step ${step}`),
        expect.stringMatching(/^The run succeeded; new model ft:tiny:/),
      ]);
      expect(await s.db.event.count({ where: { taskId: id, type: 'metrics' } })).toBe(50);
      const lines = await s.db.logLine.findMany({ where: { taskId: id }, orderBy: { seq: 'asc' } });
      expect(lines.map(({ level, message }) => [level, message]).toSorted()).toEqual([
        ['error', 'an error line of pino'],
        ['info', 'a line behind the last word'],
        ['info', `training ${id} attempt 1 from step 0`],
        ['warn', 'a warning of a library'],
      ]);
    });
    expect(await s.db.worker.findFirstOrThrow({ where: { pool } })).toMatchObject({ status: 'gone' });
  });

  test('is picked up within a second by a worker that was idle', async () => {
    const pool = 'idle';
    await withWorker(pool, {}, async (worker) => {
      await until(
        'ready',
        async () => (await s.db.worker.findUnique({ where: { id: worker.id() ?? '' } }))?.status === 'ready',
      );
      await sleep(300);
      const began = Date.now();
      const id = await submitRun(s, { pool, steps: 10_000, stepMs: 20 });
      await untilStatus(s, id, 'running');
      expect(Date.now() - began).toBeLessThan(1_000);
    });
  });
});

describe('a child that goes wrong', () => {
  test.each([
    ['kill', 'hardware', /ended by SIGKILL/],
    ['exit', 'internal', /ended with status 3/],
    ['uncaught', 'internal', /ended with status 1/],
  ] as const)(
    'and ends by %s leads to a second attempt from the last checkpoint, with each step once',
    async (kind, cause, message) => {
      const pool = `fault-${kind}`;
      const id = await submitRun(s, { pool, fault: { kind, step: 55 } });
      await withWorker(pool, {}, async () => {
        await untilStatus(s, id, 'succeeded');
        await expectComplete(s, id, 100);
        const [first, second] = await attemptsOf(s, id);
        expect(first).toMatchObject({ status: 'failed', cause, message: expect.stringMatching(message) });
        expect(second).toMatchObject({ status: 'finished', startStep: 40 });
      });
    },
  );

  test('and reports a NaN fails the run with its words', async () => {
    const pool = 'fault-nan';
    const id = await submitRun(s, { pool, fault: { kind: 'nan', step: 7 } });
    await withWorker(pool, {}, async () => {
      await untilStatus(s, id, 'failed');
      expect(await runOf(s, id)).toMatchObject({
        errorCode: 'nan_loss',
        errorMessage: 'The loss is NaN at step 7.',
        attempt: 1,
      });
    });
  });

  test('and outgrows its memory is ended with cause oom and tried once more with half the micro-batch', async () => {
    const pool = 'fault-oom';
    const id = await submitRun(s, { pool, fault: { kind: 'oom', step: 30 } });
    await withWorker(pool, { memoryLimitBytes: 400 * 2 ** 20 }, async () => {
      await untilStatus(s, id, 'succeeded');
      expect((await attemptsOf(s, id)).map(({ status, cause }) => [status, cause])).toEqual([
        ['failed', 'oom'],
        ['finished', null],
      ]);
      expect((await runOf(s, id)).config).toMatchObject({ accumulation: 2, batch_size: 8 });
      await expectComplete(s, id, 100);
    });
  });

  test('and hangs is found out, ended and resumed', async () => {
    const pool = 'fault-hang';
    const id = await submitRun(s, { pool, fault: { kind: 'hang', step: 30 } });
    await withWorker(pool, { stuckAfterMs: 2_000 }, async () => {
      await untilStatus(s, id, 'succeeded');
      expect((await attemptsOf(s, id))[0]).toMatchObject({
        cause: 'internal',
        message: expect.stringContaining('no sign of progress'),
      });
    });
  });

  test('and whose checkpoint was damaged in the store resumes from the one before', async () => {
    const pool = 'damaged';
    const id = await submitRun(s, { pool, fault: { kind: 'sleep', step: 55 } });
    await withWorker(pool, { stuckAfterMs: 4_000 }, async () => {
      await until('checkpoint 40', async () => (await s.db.checkpoint.count({ where: { runId: id, step: 40 } })) > 0);
      const { blobKey } = await s.db.checkpoint.findFirstOrThrow({ where: { runId: id, step: 40 } });
      writeFileSync(join(s.blobs.localPath(blobKey) ?? '', 'state.json'), '');
      await untilStatus(s, id, 'succeeded');
      expect((await attemptsOf(s, id))[1]).toMatchObject({ startStep: 20 });
      await expectComplete(s, id, 100);
    });
  });
});

describe('a request to stop', () => {
  const cancel = async (id: string): Promise<void> => {
    await s.db.task.update({ where: { id }, data: { state: 'cancelling' } });
    await s.redis.publish('moraine:control', JSON.stringify({ type: 'cancel', taskId: id }));
  };

  test('cancels a running run within two seconds', async () => {
    const pool = 'cancel';
    const id = await submitRun(s, { pool, steps: 100_000, stepMs: 10 });
    await withWorker(pool, {}, async () => {
      await until('steps', async () => (await runOf(s, id)).step > 5);
      const began = Date.now();
      await cancel(id);
      await untilStatus(s, id, 'cancelled');
      expect(Date.now() - began).toBeLessThan(2_000);
      expect((await runOf(s, id)).step).toBeGreaterThan(5);
    });
  });

  test('reaches the worker without Redis: the ingest of metrics and the lease carry it', async () => {
    const pool = 'cancel-quiet';
    await withWorker(pool, {}, async () => {
      for (const silent of [false, true]) {
        const id = await submitRun(s, { pool, steps: 100_000, stepMs: 10, silent });
        await until('running', async () => (await attemptsOf(s, id))[0]?.status === 'running');
        await s.db.task.update({ where: { id }, data: { state: 'cancelling' } });
        await untilStatus(s, id, 'cancelled', 5_000);
      }
    });
  });

  test('kills a child that does not listen when the deadline is over', async () => {
    const pool = 'cancel-deaf';
    const id = await submitRun(s, { pool, fault: { kind: 'hang', step: 30 } });
    await withWorker(pool, { cancelDeadlineMs: 1_000 }, async () => {
      await until('step 29', async () => (await runOf(s, id)).step === 29);
      await cancel(id);
      await untilStatus(s, id, 'cancelled', 5_000);
      expect((await runOf(s, id)).step).toBe(29);
    });
  });

  test('pauses within two seconds at a checkpoint of that step, uncharged, and goes on with each step once', async () => {
    const pool = 'pause';
    const id = await submitRun(s, { pool, steps: 300, stepMs: 10, every: 1_000, maxAttempts: 1 });
    const actor = { projectId: (await runOf(s, id)).projectId, keyId: null };
    await withWorker(pool, { stuckAfterMs: 60_000 }, async (worker) => {
      await until('steps', async () => (await runOf(s, id)).step > 5);
      const began = Date.now();
      await pauseRun(s, actor, id);
      await untilStatus(s, id, 'paused');
      expect(Date.now() - began).toBeLessThan(2_000);
      const { step } = await runOf(s, id);
      const { step: saved } = await s.db.checkpoint.findFirstOrThrow({ where: { runId: id } });
      expect(saved).toBe(step);
      await until('the worker is free', async () => {
        const row = await s.db.worker.findUnique({ where: { id: worker.id() ?? '' } });
        return row?.status === 'ready';
      });
      await resumeRun(s, actor, id);
      await untilStatus(s, id, 'succeeded');
      const attempts = await attemptsOf(s, id);
      expect(attempts.map(({ status, startStep }) => [status, startStep])).toEqual([
        ['superseded', 0],
        ['finished', step],
      ]);
      await expectComplete(s, id, 300);
    });
  });

  test('to pause reaches the worker without Redis, and a cancel overrides it in a child that does not listen', async () => {
    const pool = 'pause-quiet';
    await withWorker(pool, { cancelDeadlineMs: 500 }, async () => {
      for (const silent of [false, true]) {
        const id = await submitRun(s, { pool, steps: 100_000, stepMs: 10, silent });
        await until('running', async () => (await attemptsOf(s, id))[0]?.status === 'running');
        await s.db.task.update({ where: { id }, data: { state: 'pausing' } });
        await untilStatus(s, id, 'paused', 5_000);
      }
      const deaf = await submitRun(s, { pool, fault: { kind: 'hang', step: 10 } });
      const actor = { projectId: (await runOf(s, deaf)).projectId, keyId: null };
      await until('step 9', async () => (await runOf(s, deaf)).step === 9);
      await pauseRun(s, actor, deaf);
      await sleep(600);
      expect(await runOf(s, deaf)).toMatchObject({ status: 'running', state: 'pausing' });
      await cancelRun(s, actor, deaf);
      await untilStatus(s, deaf, 'cancelled', 5_000);
    });
  });

  test('drains: the run is given back uncharged and another worker ends it with each step once', async () => {
    const pool = 'drain';
    const id = await submitRun(s, { pool, steps: 300, stepMs: 10, maxAttempts: 1 });
    await withWorker(pool, {}, async () => {
      await until('steps', async () => (await runOf(s, id)).step > 30);
    });
    expect(await runOf(s, id)).toMatchObject({ status: 'queued' });
    expect(await s.queues.of(pool).getJobCountByTypes('prioritized', 'waiting')).toBe(1);
    await withWorker(pool, {}, async () => {
      await untilStatus(s, id, 'succeeded');
      expect((await attemptsOf(s, id)).map(({ status }) => status)).toEqual(['superseded', 'finished']);
      await expectComplete(s, id, 300);
    });
  });
});

test('a cordoned worker finishes its run, takes no other, leaves wake-ups to others, and takes again when that is taken back', async () => {
  const pool = 'cordoned';
  const actor = { projectId: 'shared', keyId: null };
  const first = await submitRun(s, { pool, steps: 60, stepMs: 10 });
  await withWorker(pool, { heartbeatMs: 60_000 }, async (worker) => {
    await untilStatus(s, first, 'running');
    await cordonWorker(s, actor, worker.id() ?? '');
    await untilStatus(s, first, 'succeeded');
    const second = await submitRun(s, { pool, steps: 5 });
    await sleep(1_000);
    expect(await runOf(s, second)).toMatchObject({ status: 'queued' });
    expect(await s.queues.of(pool).getJobCountByTypes('prioritized', 'waiting')).toBe(1);
    await uncordonWorker(s, actor, worker.id() ?? '');
    await untilStatus(s, second, 'succeeded');
  });
});

test.each(['by the control channel', 'by its heartbeat, without Redis'])(
  'a worker that is drained from afar hears of it %s, gives its run back uncharged and ends',
  async (how) => {
    const pool = `afar-${how.length}`;
    const id = await submitRun(s, { pool, steps: 300, stepMs: 10, maxAttempts: 1 });
    const worker = start(pool, how.includes('heartbeat') ? { heartbeatMs: 200 } : { heartbeatMs: 60_000 });
    await until('steps', async () => (await runOf(s, id)).step > 10);
    const silent = { ...s, redisLink: { ...s.redisLink, tell: async () => null } };
    const actor = { projectId: 'shared', keyId: null };
    await drainWorker(how.includes('heartbeat') ? silent : s, actor, worker.id() ?? '');
    expect(await worker.ended).toEqual({ drained: true });
    expect(await runOf(s, id)).toMatchObject({ status: 'queued' });
    expect((await attemptsOf(s, id)).map(({ status }) => status)).toEqual(['superseded']);
    expect((await s.db.worker.findUniqueOrThrow({ where: { id: worker.id() ?? '' } })).status).toBe('gone');
  },
);

test('two workers take two runs at once, and the third waits in the queue', async () => {
  const pool = 'two';
  const ids = await Promise.all(Array.from({ length: 3 }, () => submitRun(s, { pool, steps: 400, stepMs: 10 })));
  await withWorker(pool, {}, async () => {
    await withWorker(pool, { name: 'second' }, async () => {
      const statuses = async () =>
        (await Promise.all(ids.map((id) => runOf(s, id)))).map(({ status }) => status).toSorted();
      await until('two run', async () => (await statuses()).join() === 'queued,running,running');
      await sleep(500);
      expect(await statuses()).toEqual(['queued', 'running', 'running']);
      expect(await s.queues.of(pool).getJobCountByTypes('prioritized', 'waiting')).toBe(1);
      const busy = await s.db.worker.findMany({ where: { pool, status: 'busy' } });
      expect(busy).toHaveLength(2);
      for (const id of ids) await untilStatus(s, id, 'succeeded');
      for (const id of ids) await expectComplete(s, id, 400);
    });
  });
});

test('a worker without its runtime says so, takes nothing, and starts when the runtime is there', async () => {
  const pool = 'no-runtime';
  const flag = join(workDir, 'runtime-is-there');
  process.env.MORAINE_FIXTURE_RUNTIME = flag;
  try {
    const id = await submitRun(s, { pool });
    await withWorker(pool, { probeEveryMs: 300 }, async (worker) => {
      const row = () => s.db.worker.findUniqueOrThrow({ where: { id: worker.id() ?? '' } });
      await until('unhealthy', async () => (await row()).status === 'unhealthy');
      expect((await row()).statusReason).toBe('The TensorFlow runtime is not installed. Run npm run setup.');
      expect((await runOf(s, id)).status).toBe('queued');
      writeFileSync(flag, '');
      await untilStatus(s, id, 'succeeded');
      expect(await row()).toMatchObject({
        statusReason: null,
        device: { kind: 'cpu', name: 'fixture', tensorflow: '0' },
      });
    });
  } finally {
    delete process.env.MORAINE_FIXTURE_RUNTIME;
  }
});

test('a worker that is killed takes its child with it, and another worker finishes the run with each step once', async () => {
  const pool = 'killed';
  const id = await submitRun(s, { pool, steps: 400, stepMs: 10 });
  const { databaseUrl, redisUrl, blobsDir } = t;
  const first = spawnWorker({ databaseUrl, redisUrl, blobsDir }, { pool, name: 'first', workDir, leaseMs: 2_000 });
  await until('checkpoint', async () => (await s.db.checkpoint.count({ where: { runId: id, step: { gte: 60 } } })) > 0);
  const started = first.entries().find((entry) => entry.msg === 'training process started');
  expect(started).toMatchObject({ runId: id, attempt: 1, worker: 'first', part: 'worker' });
  const childPid = Number(started?.childPid);
  expect(existsSync(`/proc/${childPid}`)).toBe(true);
  await first.kill();
  await until('the child is gone', () => !existsSync(`/proc/${childPid}`));

  const reconciler = startReconciler(s, { intervalMs: 200, leaseMs: 500 });
  await withWorker(pool, {}, async () => {
    await untilStatus(s, id, 'succeeded');
    const [lost, finished] = await attemptsOf(s, id);
    expect(lost).toMatchObject({ status: 'lost', cause: 'lost_worker' });
    expect(finished?.startStep).toBeGreaterThanOrEqual(60);
    await expectComplete(s, id, 400);
    expect(await eventsOf(id)).toContain('Contact with worker first was lost');
  });
  await reconciler.close();
});

test('a worker process that cannot go on ends, so that its parent sees that', async () => {
  const file = join(workDir, 'no-folder');
  writeFileSync(file, '');
  const env = {
    PATH: process.env.PATH,
    DATABASE_URL: t.databaseUrl,
    REDIS_URL: t.redisUrl,
    MORAINE_BLOBS: t.blobsDir,
    MORAINE_WORK_DIR: join(file, 'work'),
  };
  const main = fileURLToPath(new URL('../dist/main.js', import.meta.url));
  const child = spawn(process.execPath, [main], { env, stdio: 'ignore', timeout: 20_000 });
  const [status] = await once(child, 'exit');
  expect(status).toBe(1);
});
