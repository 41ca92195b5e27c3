import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { AppError, newId } from '@moraine/contract';
import { type TestServices, testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AttemptToken, Services } from '../src/ground/context.js';
import { publish } from '../src/ground/publish.js';
import { type Claim, claimRun } from '../src/kinds/claim-run.js';
import { failAttempt, releaseAttempt } from '../src/kinds/end-attempt.js';
import { expireLeases, markLostContact } from '../src/reconcile/leases.js';
import { cancelRun } from '../src/training/cancel-run.js';
import { cancelAttempt, finishAttempt } from '../src/training/finish-attempt.js';
import { ingestMetrics } from '../src/training/ingest-metrics.js';
import { listCheckpoints } from '../src/training/list-checkpoints.js';
import { recordCheckpoint } from '../src/training/record-checkpoint.js';
import { recordEvaluation } from '../src/training/record-evaluation.js';
import { recordExports } from '../src/training/record-exports.js';
import { recordResultFile } from '../src/training/record-result-file.js';
import { markRunning, startAttempt } from '../src/training/start-attempt.js';
import { recordEvent } from '../src/work/record-event.js';
import { recordLogs } from '../src/work/record-logs.js';
import { renewLease } from '../src/work/renew-lease.js';
import { config, type Seeded, seedProject, seedRun, seedWorker, wholeRun } from './seed-run.js';

let t: TestServices;
let s: Services;
let project: Seeded;

beforeAll(async () => {
  t = await testServices();
  s = t.services;
  project = await seedProject(s);
});
afterAll(() => t.close());

async function claimOrThrow(workerId: string, pool: string): Promise<Extract<Claim, { kind: 'train' }>> {
  const claim = await claimRun(s, { workerId, pool });
  if (claim?.kind !== 'train') throw new Error('nothing to claim');
  return claim;
}

/** A run of its own pool, claimed. */
async function claimed(
  options: Parameters<typeof seedRun>[2] = {},
): Promise<{ token: AttemptToken; pool: string; workerId: string }> {
  const pool = `p-${newId('run').slice(-6)}`;
  await seedRun(s, project, { pool, ...options });
  const workerId = await seedWorker(s, pool);
  return { token: (await claimOrThrow(workerId, pool)).token, pool, workerId };
}

const runOf = (id: string) => wholeRun(s, id);
const attemptOf = ({ taskId, attempt }: AttemptToken) =>
  s.db.attempt.findUniqueOrThrow({ where: { taskId_attempt: { taskId, attempt } } });
const eventsOf = async (taskId: string) =>
  (await s.db.event.findMany({ where: { taskId }, orderBy: { seq: 'asc' } })).map((event) => event.message);

async function folder(text: string): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'moraine-attempts-'));
  await writeFile(join(dir, 'state.json'), text);
  return dir;
}

const ready = {
  type: 'ready',
  device: { kind: 'cpu', name: 'cpu', tensorflow: '2', threads: 1 },
  startStep: 0,
  steps: 100,
  config: { ...config, steps: 100 },
  trainableParameters: 1,
  totalParameters: 2,
  rows: 3,
  trainedTokens: 0,
  secondsToReady: 0.1,
  mode: 'plain',
  timings: { traceMs: 1, loadMs: 1, initMs: 1 },
} as const;

const evaluation = {
  fileId: 'file-1',
  name: 'held-out',
  step: 0,
  rows: 1,
  supervisedTokens: 1,
  loss: 1,
  bitsPerByte: 2,
  tokenAccuracy: 0,
  exactMatch: null,
  samples: [],
};

describe('claiming', () => {
  test('20 workers that claim at once take each of 10 runs exactly once', async () => {
    for (let round = 0; round < 10; round++) {
      const pool = `race-${round}`;
      const runs = await Promise.all(Array.from({ length: 10 }, () => seedRun(s, project, { pool })));
      const workers = await Promise.all(Array.from({ length: 20 }, () => seedWorker(s, pool)));
      const claims = await Promise.all(workers.map((workerId) => claimRun(s, { workerId, pool })));
      const taken = claims.flatMap((claim) => (claim ? [claim.token.taskId] : []));
      expect(taken.toSorted()).toEqual(runs.toSorted());
      expect(await s.db.attempt.count({ where: { taskId: { in: runs } } })).toBe(10);
    }
  });

  test('a claim takes the highest priority, then the project with the fewest running runs, then the oldest', async () => {
    const pool = 'order';
    const other = await seedProject(s);
    const worker = await seedWorker(s, pool);
    const first = await seedRun(s, project, { pool });
    const urgent = await seedRun(s, project, { pool, priority: 90 });
    const second = await seedRun(s, project, { pool });
    const foreign = await seedRun(s, other, { pool });
    const order = [];
    for (let i = 0; i < 4; i++) order.push((await claimOrThrow(worker, pool)).token.taskId);
    expect(order).toEqual([urgent, foreign, first, second]);
  });

  test('a claim carries the files, the base and the newest checkpoints of the run', async () => {
    const { token, pool } = await claimed();
    await startAttempt(s, token, { startStep: 0 });
    for (const step of [10, 20, 30])
      await recordCheckpoint(s, token, { step, dir: await folder(`${step}`), metrics: { train_loss: 1 } });
    await failAttempt(s, token, { cause: 'hardware', code: 'killed', message: 'The process was killed.' });
    const { job } = await claimOrThrow(await seedWorker(s, pool), pool);
    expect(job.base).toMatchObject({ name: 'tiny', blobPrefix: 'bases/tiny' });
    expect(job.trainingFile.blobKey).toBe(`files/${project.fileId}`);
    // keep_last is 2: the files of the oldest are gone, its row stays.
    expect(job.checkpoints.map(({ step }) => step)).toEqual([30, 20]);
    expect(await s.db.checkpoint.count({ where: { runId: token.taskId } })).toBe(3);
    expect(await s.blobs.list(`runs/${token.taskId}/attempts/1/checkpoints/step-10`)).toEqual([]);
    expect(await s.blobs.list(job.checkpoints[0]?.blobKey ?? '')).toHaveLength(1);
  });

  test('the best checkpoint that a kept one knows of is never dropped, and one that is the best no more is', async () => {
    const { token } = await claimed();
    await startAttempt(s, token, { startStep: 0 });
    const actor = { projectId: project.projectId, keyId: null };
    const save = async (step: number, bestStep: number | null) => {
      await recordCheckpoint(s, token, { step, dir: await folder(`${step}`), metrics: {}, bestStep });
      const { data } = await listCheckpoints(s, actor, token.taskId, { limit: 10 });
      return data.map(({ step_number, is_best }) => (is_best ? `${step_number} best` : `${step_number}`));
    };
    // keep_last is 2.
    expect(await save(10, 10)).toEqual(['10 best']);
    expect(await save(20, 10)).toEqual(['20', '10 best']);
    expect(await save(30, 10)).toEqual(['30', '20', '10 best']);
    expect(await save(40, 10)).toEqual(['40', '30', '10 best']);
    // From step 40 the run would go on with 10 as its best, so that is there still.
    expect(await save(50, 50)).toEqual(['50 best', '40', '10']);
    expect(await save(60, 50)).toEqual(['60', '50 best']);
    expect(await s.blobs.list(`runs/${token.taskId}/attempts/1/checkpoints/step-10`)).toEqual([]);
    expect(await s.blobs.list(`runs/${token.taskId}/attempts/1/checkpoints/step-50`)).toHaveLength(1);
  });

  test('an attempt that starts before the best checkpoint goes back to the best of its own', async () => {
    const { token, pool } = await claimed();
    await startAttempt(s, token, { startStep: 0 });
    for (const [step, bestStep] of [
      [10, 10],
      [20, 10],
      [30, 30],
    ] as const)
      await recordCheckpoint(s, token, { step, dir: await folder(`${step}`), metrics: {}, bestStep });
    await failAttempt(s, token, { cause: 'hardware', code: 'killed', message: 'The process was killed.' });
    const { token: next, job } = await claimOrThrow(await seedWorker(s, pool), pool);
    expect(job.checkpoints.map(({ step, bestStep }) => [step, bestStep])).toEqual([
      [30, 30],
      [20, 10],
      [10, 10],
    ]);
    await startAttempt(s, next, { startStep: 20 });
    const actor = { projectId: project.projectId, keyId: null };
    const { data } = await listCheckpoints(s, actor, token.taskId, { limit: 10 });
    expect(data.map(({ step_number, is_best }) => [step_number, is_best])).toEqual([
      [20, false],
      [10, true],
    ]);
  });

  test('a worker that drains or is unhealthy claims nothing', async () => {
    const pool = 'drained';
    await seedRun(s, project, { pool });
    const workerId = await seedWorker(s, pool);
    await s.db.worker.update({ where: { id: workerId }, data: { status: 'draining' } });
    expect(await claimRun(s, { workerId, pool })).toBeNull();
  });
});

describe('the fence', () => {
  test.each(['another worker', 'the same worker'])(
    'every write of an attempt that %s overtook is refused and changes nothing',
    async (who) => {
      const { token, pool, workerId } = await claimed();
      await startAttempt(s, token, { startStep: 0 });
      await failAttempt(s, token, { cause: 'internal', code: 'gone', message: 'Gone.' });
      const overtaker = who === 'the same worker' ? workerId : await seedWorker(s, pool);
      const next = (await claimOrThrow(overtaker, pool)).token;
      await startAttempt(s, next, { startStep: 0 });
      await publish(s, token.taskId, [{ message: { event: 'reset', data: { step: 0, attempt: 2 } }, seq: 1 }], 2);
      const before = await runOf(token.taskId);
      const writes: Record<string, () => Promise<unknown>> = {
        renewLease: () => renewLease(s, token),
        startAttempt: () => startAttempt(s, token, { startStep: 0 }),
        markRunning: () => markRunning(s, token, ready),
        ingestMetrics: () => ingestMetrics(s, token, [{ step: 1, values: { train_loss: 1 } }]),
        recordEvent: () => recordEvent(s, token, { level: 'info', message: 'stale' }),
        recordLogs: () => recordLogs(s, token, [{ line: 1, at: 0, level: 'info', message: 'stale' }]),
        recordEvaluation: () => recordEvaluation(s, token, evaluation),
        recordCheckpoint: async () => recordCheckpoint(s, token, { step: 1, dir: await folder('x'), metrics: {} }),
        recordExports: async () => recordExports(s, token, [{ kind: 'adapter', dir: await folder('x') }]),
        recordResultFile: () => recordResultFile(s, token, { id: newId('file'), csv: 'step\n' }),
        finishAttempt: () => finishAttempt(s, token, { step: 1, trainedTokens: 1 }),
        cancelAttempt: () => cancelAttempt(s, token, { step: 1, trainedTokens: 1 }),
        releaseAttempt: () => releaseAttempt(s, token, 'stale'),
        'failAttempt of a third party': () =>
          failAttempt(s, { ...token, workerId: 'wrk_x' }, { cause: 'nan', code: 'x', message: 'stale' }),
      };
      for (const [name, write] of Object.entries(writes)) {
        const error = await write().then(
          () => null,
          (cause: unknown) => cause,
        );
        expect(error, name).toBeInstanceOf(AppError);
        expect(error, name).toMatchObject({ code: 'stale_attempt' });
      }
      // An attempt that already ended this way is told so, and nothing happens again.
      expect(await failAttempt(s, token, { cause: 'internal', code: 'gone', message: 'Gone.' })).toBe('already');
      expect(
        await publish(s, token.taskId, [{ message: { event: 'reset', data: { step: 0, attempt: 1 } }, seq: 99 }], 1),
      ).toBe(false);

      expect(await runOf(token.taskId)).toEqual(before);
      const where = { where: { runId: token.taskId } };
      expect(await s.db.metricSeries.count(where)).toBe(0);
      expect(await s.db.logLine.count({ where: { taskId: token.taskId } })).toBe(0);
      expect(await s.db.evaluation.count(where)).toBe(0);
      expect(await s.db.checkpoint.count(where)).toBe(0);
      expect(await s.db.adapter.count(where)).toBe(0);
      expect(await eventsOf(token.taskId)).not.toContain('stale');
      await expect(renewLease(s, next)).resolves.toEqual({ wish: null });
    },
  );

  test('a stale ingest that waits for the claim of another worker is refused when it gets its turn', async () => {
    const { token } = await claimed();
    await startAttempt(s, token, { startStep: 0 });
    const client = await s.pg.connect();
    try {
      await client.query('BEGIN');
      await client.query('UPDATE tasks SET attempt = attempt + 1 WHERE id = $1', [token.taskId]);
      const write = ingestMetrics(s, token, [{ step: 1, values: { train_loss: 1 } }]);
      write.catch(() => undefined);
      await client.query('SELECT pg_sleep(0.2)');
      await client.query('COMMIT');
      await expect(write).rejects.toMatchObject({ code: 'stale_attempt' });
    } finally {
      client.release();
    }
    expect(await s.db.metricSeries.count({ where: { runId: token.taskId } })).toBe(0);
  });

  test('an event, a log line and a checkpoint that are sent twice are stored once', async () => {
    const { token } = await claimed();
    await startAttempt(s, token, { startStep: 0 });
    const id = newId('event');
    const dir = await folder('same');
    for (let i = 0; i < 2; i++) {
      await recordEvent(s, token, { id, level: 'info', message: 'once' });
      await recordLogs(s, token, [{ line: 1, at: 1_700_000_000_500, level: 'info', message: 'once\u0000' }]);
      await recordCheckpoint(s, token, { step: 5, dir, metrics: {} });
      await recordExports(s, token, [{ kind: 'adapter', dir }]);
    }
    expect((await eventsOf(token.taskId)).filter((message) => message === 'once')).toHaveLength(1);
    const lines = await s.db.logLine.findMany({ where: { taskId: token.taskId } });
    expect(lines.map(({ message, at }) => [message, at.getTime()])).toEqual([['once\uFFFD', 1_700_000_000_500]]);
    expect(await s.db.checkpoint.count({ where: { runId: token.taskId } })).toBe(1);
    expect(await s.db.adapter.count({ where: { runId: token.taskId } })).toBe(1);
  });
});

describe('letters that Postgres cannot store', () => {
  const odd = 'a \0 and \ud83d half';
  const stored = 'a \ufffd and \ufffd half';

  test('are replaced in samples of an evaluation and in events, and nothing is retried', async () => {
    const { token } = await claimed();
    await startAttempt(s, token, { startStep: 0 });
    const samples = [{ prompt: odd, expected: 'o\0k', generated: odd }];
    await recordEvaluation(s, token, { ...evaluation, samples });
    const [row] = await s.db.evaluation.findMany({ where: { runId: token.taskId } });
    expect(row?.samples).toEqual([{ prompt: stored, expected: 'o\ufffdk', generated: stored }]);
    await recordEvent(s, token, { level: 'warn', message: odd, data: { [odd]: [odd, 1, null] } });
    const event = await s.db.event.findFirst({ where: { taskId: token.taskId, level: 'warn' } });
    expect(event).toMatchObject({ message: stored, data: { [stored]: [stored, 1, null] } });
  });

  test('are replaced in what an attempt died of', async () => {
    const { token } = await claimed();
    await startAttempt(s, token, { startStep: 0 });
    expect(await failAttempt(s, token, { cause: 'user_data', code: 'user_data', message: odd })).toBe('failed');
    expect(await runOf(token.taskId)).toMatchObject({ status: 'failed', errorMessage: stored });
  });
});

describe('ends', () => {
  test('a finished attempt makes its run succeeded with a model name, also when it is reported twice', async () => {
    const { token } = await claimed();
    await startAttempt(s, token, { startStep: 0 });
    await markRunning(s, token, ready);
    expect(await attemptOf(token)).toMatchObject({ status: 'running' });
    const id = newId('file');
    await recordResultFile(s, token, { id, csv: 'step,train_loss\n' });
    for (let i = 0; i < 2; i++) await finishAttempt(s, token, { step: 100, trainedTokens: 1234 });
    const run = await runOf(token.taskId);
    expect(run).toMatchObject({ status: 'succeeded', state: null, step: 100, trainedTokens: 1234n, resultFileId: id });
    expect(run.fineTunedModel).toMatch(/^ft:tiny:proj_.*::[a-z0-9]{8}$/);
    expect(await attemptOf(token)).toMatchObject({ status: 'finished' });
    expect((await eventsOf(token.taskId)).filter((message) => message.startsWith('The run succeeded'))).toHaveLength(1);
    expect(await s.db.file.findUniqueOrThrow({ where: { id } })).toMatchObject({
      purpose: 'fine-tune-results',
      status: 'processed',
    });
  });

  test('a run that ended early says so beside its success, unless it was cancelled meanwhile', async () => {
    const early = { step: 30, trainedTokens: 300, resultStep: 20, stoppedEarly: 'Stopped early at step 30.' };
    const { token } = await claimed();
    for (let i = 0; i < 2; i++) await finishAttempt(s, token, early);
    const reason = { code: 'stopped_early', message: 'Stopped early at step 30.', since: expect.any(Number) };
    expect(await runOf(token.taskId)).toMatchObject({
      status: 'succeeded',
      step: 30,
      resultStep: 20,
      stateReason: reason,
    });
    const { token: other } = await claimed();
    await cancelRun(s, { projectId: project.projectId, keyId: null }, other.taskId);
    await finishAttempt(s, other, early);
    expect(await runOf(other.taskId)).toMatchObject({ status: 'cancelled', resultStep: null, stateReason: null });
  });

  test('faults of ours queue the run again until its budget of attempts is spent', async () => {
    const { token, pool, workerId } = await claimed({ maxAttempts: 2 });
    expect(await failAttempt(s, token, { cause: 'hardware', code: 'killed', message: 'Killed.' })).toBe('retry');
    expect(await runOf(token.taskId)).toMatchObject({
      status: 'queued',
      attempt: 1,
      stateReason: { code: 'resuming' },
    });
    const second = (await claimOrThrow(workerId, pool)).token;
    expect(second.attempt).toBe(2);
    expect(await failAttempt(s, second, { cause: 'hardware', code: 'killed', message: 'Killed.' })).toBe('failed');
    expect(await runOf(token.taskId)).toMatchObject({
      status: 'failed',
      errorCode: 'killed',
      errorMessage: 'Killed. This was attempt 2; 2 of 2 were charged.',
    });
  });

  test('full disks cost none of the budget of attempts, before and after faults that do', async () => {
    const { token, pool } = await claimed({ maxAttempts: 2 });
    const worker = await seedWorker(s, pool);
    const full = { cause: 'storage', code: 'storage_full', message: 'No space is left.' } as const;
    const killed = { cause: 'hardware', code: 'killed', message: 'The process was killed.' } as const;
    let now = token;
    const failed = [];
    for (const failure of [full, full, killed, full, killed]) {
      failed.push(await failAttempt(s, now, failure));
      await s.db.task.update({ where: { id: token.taskId }, data: { queuedAt: new Date(0) } });
      if (failed.at(-1) !== 'failed') now = (await claimOrThrow(worker, pool)).token;
    }
    expect(failed).toEqual(['retry', 'retry', 'retry', 'retry', 'failed']);
  });

  test('from the second fault on the run waits before it is taken again', async () => {
    const { token, pool, workerId } = await claimed();
    await failAttempt(s, token, { cause: 'internal', code: 'x', message: 'One.' });
    await failAttempt(s, (await claimOrThrow(workerId, pool)).token, { cause: 'internal', code: 'x', message: 'Two.' });
    expect(await claimRun(s, { workerId, pool })).toBeNull();
    const { queuedAt } = await runOf(token.taskId);
    expect(queuedAt.getTime() - Date.now()).toBeGreaterThan(1_000);
  });

  test('a fault of the user fails the run at once', async () => {
    const { token } = await claimed();
    const failure = {
      cause: 'nan',
      code: 'nan_loss',
      message: 'The loss is NaN at step 7.',
      param: 'optimizer.learning_rate',
    } as const;
    expect(await failAttempt(s, token, failure)).toBe('failed');
    expect(await runOf(token.taskId)).toMatchObject({
      status: 'failed',
      errorCode: 'nan_loss',
      errorMessage: 'The loss is NaN at step 7.',
      errorParam: 'optimizer.learning_rate',
    });
  });

  test('memory that ran out earns one try with half the micro-batch, then fails the run', async () => {
    const { token, pool, workerId } = await claimed();
    const oom = { cause: 'oom', code: 'out_of_memory', message: 'Out of memory.' } as const;
    expect(await failAttempt(s, token, oom)).toBe('retry_smaller');
    const { token: second, job } = await claimOrThrow(workerId, pool);
    expect(job.config).toMatchObject({ batch_size: 8, accumulation: 4 });
    expect(await failAttempt(s, second, oom)).toBe('failed');
  });

  // A step's rows are put into about so many parts, so nine make two as eight do.
  test.each([
    [9, 1, 2],
    [5, 2, 4],
    [1, 1, null],
    [6, 4, null],
  ])(
    'a batch of %i rows in %i parts that took too much memory is tried in %j',
    async (batch_size, accumulation, next) => {
      const { token, pool, workerId } = await claimed();
      await s.db.run.update({ where: { id: token.taskId }, data: { config: { ...config, batch_size, accumulation } } });
      const oom = { cause: 'oom', code: 'out_of_memory', message: 'Out of memory.' } as const;
      expect(await failAttempt(s, token, oom)).toBe(next === null ? 'failed' : 'retry_smaller');
      if (next !== null)
        expect((await claimOrThrow(workerId, pool)).job.config).toMatchObject({ batch_size, accumulation: next });
    },
  );

  test('a released run is queued again and its budget is not charged', async () => {
    const { token, pool, workerId } = await claimed({ maxAttempts: 1 });
    for (let attempt = 1; attempt <= 3; attempt++) {
      const current = attempt === 1 ? token : (await claimOrThrow(workerId, pool)).token;
      expect(current.attempt).toBe(attempt);
      expect(await releaseAttempt(s, current, 'The worker was stopped.')).toBe('retry');
      expect(await attemptOf(current)).toMatchObject({ status: 'superseded', cause: 'preempted' });
    }
    expect(await runOf(token.taskId)).toMatchObject({ status: 'queued', attempt: 3 });
  });

  test('a run that is to be cancelled ends cancelled, whatever its attempt does', async () => {
    const ways: ((token: AttemptToken) => Promise<unknown>)[] = [
      (token) => finishAttempt(s, token, { step: 1, trainedTokens: 1 }),
      (token) => cancelAttempt(s, token, { step: 1, trainedTokens: 1 }),
      (token) => failAttempt(s, token, { cause: 'hardware', code: 'x', message: 'X.' }),
      (token) => releaseAttempt(s, token, 'X.'),
    ];
    for (const way of ways) {
      const { token } = await claimed();
      await s.db.task.update({ where: { id: token.taskId }, data: { state: 'cancelling' } });
      expect(await renewLease(s, token)).toEqual({ wish: 'cancel' });
      expect(await ingestMetrics(s, token, [{ step: 1, values: { train_loss: 1 } }])).toEqual({
        added: 1,
        wish: 'cancel',
      });
      await markRunning(s, token, ready);
      expect((await runOf(token.taskId)).state).toBe('cancelling');
      await way(token);
      expect(await runOf(token.taskId)).toMatchObject({ status: 'cancelled', state: null, fineTunedModel: null });
    }
  });
});

describe('leases', () => {
  const expire = (token: AttemptToken) =>
    s.pg.query(
      `UPDATE attempts SET lease_expires_at = now() - interval '5 seconds' WHERE task_id = $1 AND attempt = $2`,
      [token.taskId, token.attempt],
    );

  test('an expired lease passes through lost_contact, and a renewal takes the run back', async () => {
    const { token } = await claimed();
    await expire(token);
    expect(await expireLeases(s)).toBe(0);
    expect(await markLostContact(s)).toBe(1);
    expect(await runOf(token.taskId)).toMatchObject({ status: 'running', state: 'lost_contact' });
    await renewLease(s, token);
    expect(await runOf(token.taskId)).toMatchObject({ status: 'running', state: null });
    expect(await expireLeases(s)).toBe(0);
  });

  test('an attempt that stays silent is lost and its run is claimed again', async () => {
    const { token, pool } = await claimed();
    await expire(token);
    await markLostContact(s);
    expect(await expireLeases(s)).toBe(1);
    expect(await attemptOf(token)).toMatchObject({ status: 'lost', cause: 'lost_worker' });
    expect(await eventsOf(token.taskId)).toEqual([
      'Contact with worker w was lost',
      'Contact with worker w was lost. The run is queued again and goes on from its last checkpoint.',
    ]);
    expect((await claimOrThrow(await seedWorker(s, pool), pool)).token.attempt).toBe(2);
    await expect(renewLease(s, token)).rejects.toMatchObject({ code: 'stale_attempt' });
  });

  test('a lease that is renewed while its end waits for the lock is not ended, also of a run that is being cancelled', async () => {
    const { token } = await claimed();
    await expire(token);
    await s.db.task.update({ where: { id: token.taskId }, data: { state: 'cancelling' } });
    const client = await s.pg.connect();
    try {
      await client.query('BEGIN');
      await client.query('SELECT 1 FROM tasks WHERE id = $1 FOR NO KEY UPDATE', [token.taskId]);
      await client.query(`UPDATE attempts SET lease_expires_at = now() + interval '20 seconds' WHERE task_id = $1`, [
        token.taskId,
      ]);
      const ending = expireLeases(s);
      ending.catch(() => undefined);
      await client.query('SELECT pg_sleep(0.3)');
      await client.query('COMMIT');
      expect(await ending).toBe(0);
    } finally {
      client.release();
    }
    expect(await attemptOf(token)).toMatchObject({ status: 'claimed' });
    expect(await runOf(token.taskId)).toMatchObject({ status: 'running', state: 'cancelling' });
  });

  test('a lost attempt beyond the budget fails the run, and one of a run that is to be cancelled cancels it', async () => {
    const spent = await claimed({ maxAttempts: 1 });
    await expire(spent.token);
    const cancelled = await claimed();
    await expire(cancelled.token);
    await s.db.task.update({ where: { id: cancelled.token.taskId }, data: { state: 'cancelling' } });
    await markLostContact(s);
    await expireLeases(s);
    expect(await runOf(spent.token.taskId)).toMatchObject({ status: 'failed', errorCode: 'lost_worker' });
    expect(await runOf(cancelled.token.taskId)).toMatchObject({ status: 'cancelled' });
  });
});

test('a run whose file is gone fails at once and says so, and its worker gets the next run', async () => {
  const pool = `p-${newId('run').slice(-6)}`;
  const poorer = await seedProject(s);
  const broken = await seedRun(s, poorer, { pool, priority: 90 });
  const next = await seedRun(s, project, { pool });
  await s.db.file.update({ where: { id: poorer.fileId }, data: { deletedAt: new Date() } });
  const { token } = await claimOrThrow(await seedWorker(s, pool), pool);
  expect(token).toMatchObject({ taskId: next, attempt: 1 });
  const run = await runOf(broken);
  expect(run).toMatchObject({ status: 'failed', errorCode: 'not_found' });
  expect(run.errorMessage).toContain(poorer.fileId);
});
