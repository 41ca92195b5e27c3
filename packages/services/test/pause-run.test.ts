import { newId } from '@moraine/contract';
import { type TestServices, testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  type AttemptToken,
  cancelRun,
  claimRun,
  failAttempt,
  finishAttempt,
  holdAttempt,
  listenControl,
  listPools,
  listQueue,
  markRunning,
  pauseRun,
  releaseAttempt,
  renewLease,
  resumeRun,
  type Services,
  startAttempt,
} from '../src/index.js';
import { expireLeases, markLostContact } from '../src/reconcile/leases.js';
import { endHeldRun, promoteRun } from '../src/training/hold-run.js';
import { config, type Seeded, seedProject, seedRun, seedWorker, wholeRun } from './seed-run.js';

let t: TestServices;
let s: Services;
let project: Seeded;
let actor: Actor;
beforeAll(async () => {
  t = await testServices();
  s = t.services;
  project = await seedProject(s);
  actor = { projectId: project.projectId, keyId: null };
});
afterAll(() => t.close());

const eventsOf = async (taskId: string) =>
  (await s.db.event.findMany({ where: { taskId }, orderBy: { seq: 'asc' } })).map(({ message }) => message);
const conflict = { code: 'conflict', status: 409, retryable: false };

async function queued(options: Parameters<typeof seedRun>[2] = {}): Promise<{ id: string; pool: string }> {
  const pool = `p-${newId('run').slice(-6)}`;
  return { id: await seedRun(s, project, { pool, ...options }), pool };
}

async function claim(pool: string): Promise<AttemptToken> {
  const claimed = await claimRun(s, { workerId: await seedWorker(s, pool), pool });
  if (!claimed) throw new Error('nothing to claim');
  return claimed.token;
}

async function running(options: Parameters<typeof seedRun>[2] = {}) {
  const run = await queued(options);
  return { ...run, token: await claim(run.pool) };
}

const wakeUps = (pool: string) => s.queues.of(pool).getJobCountByTypes('prioritized', 'waiting');

describe('a queued run', () => {
  test('is paused at once, by many requests once, and no worker takes it', async () => {
    const { id, pool } = await queued();
    const answers = await Promise.all(Array.from({ length: 8 }, () => pauseRun(s, actor, id)));
    expect(new Set(answers.map(({ status, state }) => `${status} ${state}`))).toEqual(new Set(['paused null']));
    expect(answers[0]?.state_reason).toMatchObject({ code: 'paused' });
    expect(await eventsOf(id)).toEqual(['The run was paused']);
    expect(await claimRun(s, { workerId: await seedWorker(s, pool), pool })).toBeNull();
  });

  test('goes back into the queue when it is resumed, by many requests once, under a wake-up of its own', async () => {
    const { id, pool } = await queued();
    await pauseRun(s, actor, id);
    const answers = await Promise.all(Array.from({ length: 8 }, () => resumeRun(s, actor, id)));
    expect(answers.map(({ status }) => status)).toEqual(Array(8).fill('queued'));
    expect(await wholeRun(s, id)).toMatchObject({ submission: 2, finishedAt: null });
    expect(await wakeUps(pool)).toBe(1);
    expect(await eventsOf(id)).toEqual(['The run was paused', 'The run was resumed and is queued']);
    expect((await claim(pool)).attempt).toBe(1);
    expect((await resumeRun(s, actor, id)).status).toBe('running');
  });
});

describe('a running run', () => {
  test('is asked to stop, says so, tells its worker, and stays so while it prepares and renews', async () => {
    const { id, token } = await running();
    const heard: string[] = [];
    const stop = listenControl(s, (message) => heard.push(Object.values(message).join(' ')));
    try {
      for (let tries = 0; tries < 200 && heard.length === 0; tries++) {
        await s.db.task.update({ where: { id }, data: { state: null } });
        expect(await pauseRun(s, actor, id)).toMatchObject({ status: 'running', state: 'pausing' });
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    } finally {
      stop();
    }
    expect(heard).toContain(`pause ${id}`);
    await startAttempt(s, token, { startStep: 0 });
    const device = { kind: 'cpu', name: 'c', tensorflow: 'x', threads: 1 } as const;
    await markRunning(s, token, {
      type: 'ready',
      device,
      startStep: 0,
      steps: config.steps,
      config,
      trainableParameters: 1,
      totalParameters: 1,
      rows: 1,
      trainedTokens: 0,
      secondsToReady: 0,
      mode: 'plain',
      timings: { traceMs: 0, loadMs: 0, initMs: 0 },
    });
    expect(await renewLease(s, token)).toEqual({ wish: 'pause' });
    expect(await wholeRun(s, id)).toMatchObject({ status: 'running', state: 'pausing' });
  });

  test('is paused by the end of its attempt, which is never charged, however often', async () => {
    const { id, pool, token } = await running({ maxAttempts: 1 });
    let last = token;
    for (const round of [1, 2, 3]) {
      if (round > 1) last = await claim(pool);
      await pauseRun(s, actor, id);
      expect(await releaseAttempt(s, last, `The attempt was stopped at step ${round}.`)).toBe('retry');
      expect(await releaseAttempt(s, last, 'again')).toBe('already');
      expect(await wholeRun(s, id)).toMatchObject({ status: 'paused', state: null, stateReason: { code: 'paused' } });
      expect(await wakeUps(pool)).toBe(0);
      expect(await resumeRun(s, actor, id)).toMatchObject({ status: 'queued', error: null });
    }
    expect(await failAttempt(s, await claim(pool), { cause: 'hardware', code: 'killed', message: 'Killed.' })).toBe(
      'failed',
    );
    expect((await wholeRun(s, id)).errorMessage).toContain('1 of 1 were charged');
  });

  test('that fails, or is lost, while it is being paused is paused if it would have been tried again', async () => {
    const failed = await running();
    await pauseRun(s, actor, failed.id);
    await failAttempt(s, failed.token, { cause: 'hardware', code: 'killed', message: 'Killed.' });
    const lost = await running();
    await markLostContact(s);
    await pauseRun(s, actor, lost.id);
    await s.db.attempt.updateMany({ where: { taskId: lost.id }, data: { leaseExpiresAt: new Date(0) } });
    await markLostContact(s);
    expect((await wholeRun(s, lost.id)).state).toBe('pausing');
    await expireLeases(s);
    const oom = await running();
    await pauseRun(s, actor, oom.id);
    await failAttempt(s, oom.token, { cause: 'oom', code: 'out_of_memory', message: 'Memory ran out.' });
    for (const { id } of [failed, lost, oom]) expect(await wholeRun(s, id)).toMatchObject({ status: 'paused' });
    expect((await wholeRun(s, oom.id)).config).toMatchObject({ accumulation: 4 });
    const wrong = await running();
    await pauseRun(s, actor, wrong.id);
    await failAttempt(s, wrong.token, { cause: 'nan', code: 'nan_loss', message: 'NaN.' });
    expect(await wholeRun(s, wrong.id)).toMatchObject({ status: 'failed' });
  });

  test('that reaches its last step before it pauses has succeeded', async () => {
    const { id, token } = await running();
    await pauseRun(s, actor, id);
    await finishAttempt(s, token, { step: 10, trainedTokens: 10 });
    expect(await wholeRun(s, id)).toMatchObject({ status: 'succeeded', state: null });
  });

  test('goes on when the pause is taken back, and is queued again where its attempt had stopped already', async () => {
    const { id, pool, token } = await running();
    await pauseRun(s, actor, id);
    expect(await resumeRun(s, actor, id)).toMatchObject({ status: 'running', state: null });
    expect(await resumeRun(s, actor, id)).toMatchObject({ status: 'running', state: null });
    expect(await renewLease(s, token)).toEqual({ wish: null });
    await releaseAttempt(s, token, 'The attempt was stopped at step 3.');
    expect(await wholeRun(s, id)).toMatchObject({ status: 'queued' });
    expect(await wakeUps(pool)).toBe(1);
  });

  test('that is being cancelled cannot be paused, and one that is being paused is cancelled', async () => {
    const { id, token } = await running();
    await pauseRun(s, actor, id);
    expect(await cancelRun(s, actor, id)).toMatchObject({ state: 'cancelling' });
    await expect(pauseRun(s, actor, id)).rejects.toMatchObject(conflict);
    await expect(resumeRun(s, actor, id)).rejects.toMatchObject(conflict);
    expect(await renewLease(s, token)).toEqual({ wish: 'cancel' });
    expect(await releaseAttempt(s, token, 'stopped')).toBe('cancelled');
    expect(await wholeRun(s, id)).toMatchObject({ status: 'cancelled' });
  });
});

test('what is not paused cannot be resumed, and what has ended can be neither', async () => {
  const { id } = await queued();
  const refused = { ...conflict, param: 'fine_tuning_job_id' };
  await expect(resumeRun(s, actor, id)).rejects.toMatchObject(refused);
  const { id: busy, token } = await running();
  await expect(resumeRun(s, actor, busy)).rejects.toMatchObject(refused);
  await finishAttempt(s, token, { step: 1, trainedTokens: 1 });
  await pauseRun(s, actor, id);
  expect((await cancelRun(s, actor, id)).status).toBe('cancelled');
  for (const ended of [busy, id]) {
    await expect(pauseRun(s, actor, ended)).rejects.toMatchObject(refused);
    await expect(resumeRun(s, actor, ended)).rejects.toMatchObject(refused);
  }
});

describe('a run that is held at a step', () => {
  const decided = (runId: string, at = 4) => ({ runId, at, message: 'decided', check: () => Promise.resolve() });
  async function held() {
    const run = await running({ maxAttempts: 1 });
    await s.db.run.update({ where: { id: run.id }, data: { holdStep: 4, step: 4 } });
    expect(await holdAttempt(s, run.token, 4)).toBe('retry');
    expect(await holdAttempt(s, run.token, 4)).toBe('already');
    return run;
  }

  test('waits uncharged, tells its worker the step, and nobody but its experiment lets it go on', async () => {
    const { id, pool } = await held();
    expect(await wholeRun(s, id)).toMatchObject({ status: 'paused', stateReason: { code: 'held' }, finishedAt: null });
    expect(await wakeUps(pool)).toBe(0);
    await expect(resumeRun(s, actor, id)).rejects.toMatchObject({
      ...conflict,
      hint: expect.stringContaining('step 4'),
    });
    await s.db.task.update({ where: { id }, data: { createdAt: new Date(1_000) } });
    await Promise.all(Array.from({ length: 6 }, () => promoteRun(s, decided(id), 8)));
    expect(await wholeRun(s, id)).toMatchObject({
      status: 'queued',
      holdStep: 8,
      submission: 2,
      queuedAt: new Date(1_000),
    });
    expect(await wakeUps(pool)).toBe(1);
    // It keeps its place, and has waited since it was promoted, not since 1970.
    const [listed] = (await listPools(s, actor, { pool })).data;
    expect(listed?.oldest_wait_s).toBeLessThan(600);
    const [entry] = (await listQueue(s, actor, { limit: 9, pool })).data;
    expect(entry).toMatchObject({ id, position: 1 });
    expect(Math.min(entry?.queued_at ?? 0, entry?.reason.since ?? 0)).toBeGreaterThan(Date.now() / 1_000 - 600);
    const claimed = await claimRun(s, { workerId: await seedWorker(s, pool), pool });
    expect(claimed).toMatchObject({ token: { attempt: 2 }, job: { holdStep: 8 } });
  });

  test('is left alone by a decision that was made of it as it was before', async () => {
    const { id } = await held();
    await promoteRun(s, decided(id), 8);
    await endHeldRun(s, decided(id));
    await promoteRun(s, decided(id), null);
    expect(await wholeRun(s, id)).toMatchObject({ status: 'queued', holdStep: 8 });
    const other = await held();
    const stale = { ...decided(other.id), check: () => Promise.reject(new Error('outdated')) };
    await expect(promoteRun(s, stale, 8)).rejects.toThrow('outdated');
    await promoteRun(s, decided(other.id, 3), 8);
    expect(await wholeRun(s, other.id)).toMatchObject({ status: 'paused', holdStep: 4 });
  });

  test('that somebody pauses, there or on its way, waits for whoever resumes it and not for its experiment', async () => {
    const there = await held();
    await Promise.all([pauseRun(s, actor, there.id), pauseRun(s, actor, there.id)]);
    const underway = await running();
    await s.db.run.update({ where: { id: underway.id }, data: { holdStep: 4, step: 4 } });
    await s.db.task.update({ where: { id: underway.id }, data: { state: 'pausing' } });
    expect(await holdAttempt(s, underway.token, 4)).toBe('retry');
    for (const { id } of [there, underway]) {
      const paused = { status: 'paused', stateReason: { code: 'paused' } };
      expect(await wholeRun(s, id)).toMatchObject(paused);
      await promoteRun(s, decided(id), 8);
      await endHeldRun(s, decided(id));
      expect(await wholeRun(s, id)).toMatchObject({ ...paused, holdStep: 4 });
      expect((await resumeRun(s, actor, id)).status).toBe('queued');
      expect(await wholeRun(s, id)).toMatchObject({ status: 'queued', holdStep: 4 });
    }
    expect((await eventsOf(there.id)).filter((message) => message === 'The run was paused')).toHaveLength(1);
  });

  test('that does not go on is cancelled, with the reason beside it', async () => {
    const { id } = await held();
    await Promise.all([endHeldRun(s, decided(id)), endHeldRun(s, decided(id))]);
    expect(await wholeRun(s, id)).toMatchObject({
      status: 'cancelled',
      stateReason: { code: 'not_promoted', message: 'decided' },
    });
    expect((await eventsOf(id)).filter((message) => message === 'decided')).toHaveLength(1);
    const wanted = await running();
    await cancelRun(s, actor, wanted.id);
    expect(await holdAttempt(s, wanted.token, 4)).toBe('cancelled');
  });
});
