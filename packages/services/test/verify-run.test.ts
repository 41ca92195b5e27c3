import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { newId, plainCheck, type ResumeCheck } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Actor,
  type AttemptToken,
  claimRun,
  failAttempt,
  finishAttempt,
  finishVerification,
  getRun,
  ingestMetrics,
  listEvents,
  listWorkers,
  recordCheckpoint,
  recordOwnCheck,
  releaseAttempt,
  type Services,
  searchRuns,
  startAttempt,
  startVerification,
  verifyRun,
} from '../src/index.js';
import { type Seeded, seedProject, seedRun, seedWorker } from './seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let seeded: Seeded;
let actor: Actor;
beforeAll(async () => {
  seeded = await seedProject(s);
  actor = { projectId: seeded.projectId, keyId: null };
});

interface Ended {
  id: string;
  pool: string;
  workerId: string;
}

async function claimOf({ pool, workerId }: Omit<Ended, 'id'>) {
  const claim = await claimRun(s, { workerId, pool });
  if (!claim) throw new Error(`nothing to claim in ${pool}`);
  return claim;
}

async function train(token: AttemptToken, from: number, checkpoints: readonly number[]): Promise<void> {
  await startAttempt(s, token, { startStep: from });
  const last = checkpoints.at(-1) ?? from;
  const steps = Array.from({ length: last - from }, (_, i) => from + i + 1);
  await ingestMetrics(
    s,
    token,
    steps.map((step) => ({ step, values: { train_loss: 1 / step, grad_norm: step / 3 } })),
  );
  for (const step of checkpoints) {
    const dir = await mkdtemp(join(tmpdir(), 'moraine-verify-'));
    await writeFile(join(dir, 'state.json'), `${step}`);
    await recordCheckpoint(s, token, { step, dir, metrics: {} });
  }
}

/** A run that saved checkpoints at these steps and succeeded. */
async function endedRun(checkpoints: readonly number[], config: object = {}): Promise<Ended> {
  const pool = `p-${newId('run').slice(-6)}`;
  const id = await seedRun(s, seeded, { pool, config });
  const workerId = await seedWorker(s, pool);
  const { token } = await claimOf({ pool, workerId });
  await train(token, 0, checkpoints);
  await finishAttempt(s, token, { step: checkpoints.at(-1) ?? 0, trainedTokens: 1 });
  return { id, pool, workerId };
}

async function verifying(ended: Ended) {
  await verifyRun(s, actor, ended.id);
  const claim = await claimOf(ended);
  if (claim.kind !== 'verify') throw new Error(`claimed a task of kind ${claim.kind}`);
  return claim;
}

const checkOf = async (id: string) => (await getRun(s, actor, id)).resume_check;
const found: ResumeCheck = { ...plainCheck('equal', 'Resumed from step 20.'), from_step: 20, to_step: 30 };
const eventsOf = async (id: string) =>
  (await listEvents(s, actor, id, { limit: 100 })).data.map(({ message, level }) => `${level}: ${message}`).reverse();

test("a worker gets the last two checkpoints and every step between as it was recorded, and what it finds is the run's", async () => {
  const ended = await endedRun([10, 20, 30]);
  expect(await checkOf(ended.id)).toBeNull();
  const { token, job } = await verifying(ended);
  expect(await checkOf(ended.id)).toMatchObject({ status: 'queued' });
  expect([job.span.from.step, job.span.until.step]).toEqual([20, 30]);
  expect(job.checkpoints.map(({ step }) => step)).toEqual([20]);
  expect(job.span.recorded).toHaveLength(10);
  expect(job.span.recorded[0]).toEqual({ step: 21, loss: 1 / 21, gradNorm: 7 });
  expect(job.trainingFile.id).toBe(seeded.fileId);
  await startVerification(s, token);
  expect(await checkOf(ended.id)).toMatchObject({ status: 'running' });
  for (let i = 0; i < 2; i++) await finishVerification(s, token, found);
  expect(await checkOf(ended.id)).toEqual(found);
  const events = await eventsOf(ended.id);
  expect(events.slice(-2)).toEqual(['info: The check of the resume is queued', 'info: Resumed from step 20.']);
});

test('a run stays as it ended while it is verified, and the verification is no run', async () => {
  const ended = await endedRun([10, 20]);
  const before = await getRun(s, actor, ended.id);
  const { token } = await verifying(ended);
  await startVerification(s, token);
  const { resume_check: _, ...now } = await getRun(s, actor, ended.id);
  const { resume_check: __, ...then } = before;
  expect(now).toEqual(then);
  const { data } = await searchRuns(s, actor, { limit: 200, sort: '-created', count: false });
  expect(data.map(({ id }) => id)).not.toContain(token.taskId);
  const workers = await listWorkers(s, actor);
  expect(workers.data.find(({ id }) => id === ended.workerId)).toMatchObject({ run_id: ended.id, attempt: null });
  await expect(getRun(s, actor, token.taskId)).rejects.toMatchObject({ code: 'not_found' });
});

test('asked again while it is queued or runs, nothing is queued twice; after that it is verified anew', async () => {
  const ended = await endedRun([10, 20]);
  await verifyRun(s, actor, ended.id);
  const { token } = await verifying(ended);
  await verifyRun(s, actor, ended.id);
  expect(await claimRun(s, ended)).toBeNull();
  await startVerification(s, token);
  await finishVerification(s, token, found);
  await verifyRun(s, actor, ended.id);
  expect(await checkOf(ended.id)).toMatchObject({ status: 'queued' });
  expect((await claimOf(ended)).kind).toBe('verify');
});

test.each([
  ['has one checkpoint', [10]],
  ['has none', []],
])('a run that %s has nothing to compare, and says what to do', async (_what, checkpoints) => {
  const { id } = await endedRun(checkpoints);
  await expect(verifyRun(s, actor, id)).rejects.toMatchObject({
    code: 'conflict',
    message: `${id} has no two checkpoints between which its steps could be repeated.`,
    hint: expect.stringContaining('verify_resume: true'),
  });
});

test('steps that two attempts computed are not compared, those before them are', async () => {
  const pool = `p-${newId('run').slice(-6)}`;
  const id = await seedRun(s, seeded, {
    pool,
    config: { checkpoint: { every_steps: 1, every_seconds: 0, keep_last: 9 } },
  });
  const workerId = await seedWorker(s, pool);
  const first = await claimOf({ pool, workerId });
  await train(first.token, 0, [10, 20, 25]);
  await failAttempt(s, first.token, { cause: 'hardware', code: 'killed', message: 'Killed.' });
  const second = await claimOf({ pool, workerId });
  await train(second.token, 25, [30]);
  await s.db.checkpoint.updateMany({ where: { runId: id, step: 25 }, data: { deletedAt: new Date() } });
  await finishAttempt(s, second.token, { step: 30, trainedTokens: 1 });
  const { job } = await verifying({ id, pool, workerId });
  expect([job.span.from.step, job.span.until.step]).toEqual([10, 20]);
});

test('a run that has not ended is not verified', async () => {
  const id = await seedRun(s, seeded, { pool: 'not-ended' });
  await expect(verifyRun(s, actor, id)).rejects.toMatchObject({
    code: 'conflict',
    message: `${id} is queued; a run is verified when it has ended.`,
  });
});

test('a verification that is given back waits again, one that fails says why in its run', async () => {
  const ended = await endedRun([10, 20]);
  const { token } = await verifying(ended);
  await startVerification(s, token);
  expect(await releaseAttempt(s, token, 'The worker was stopped.')).toBe('retry');
  expect(await checkOf(ended.id)).toMatchObject({ status: 'queued' });
  const { token: second } = await claimOf(ended);
  expect(second).toMatchObject({ taskId: token.taskId, attempt: 2 });
  await expect(finishVerification(s, token, found)).rejects.toMatchObject({ code: 'stale_attempt' });
  const oom = { cause: 'oom', code: 'out_of_memory', message: 'Memory ran out.' } as const;
  expect(await failAttempt(s, second, oom)).toBe('failed');
  expect(await checkOf(ended.id)).toMatchObject({ status: 'failed', message: 'Memory ran out.' });
  expect((await getRun(s, actor, ended.id)).status).toBe('succeeded');
});

test('a verification whose inputs are gone fails when it is claimed, and the next task is taken', async () => {
  const ended = await endedRun([10, 20]);
  await verifyRun(s, actor, ended.id);
  await s.db.checkpoint.updateMany({ where: { runId: ended.id, step: 10 }, data: { deletedAt: new Date() } });
  const next = await seedRun(s, seeded, { pool: ended.pool });
  expect((await claimOf(ended)).token.taskId).toBe(next);
  expect(await checkOf(ended.id)).toMatchObject({
    status: 'failed',
    message: expect.stringContaining('no two checkpoints'),
  });
});

test('what a run finds out about itself is stored by its own attempt alone', async () => {
  const pool = `p-${newId('run').slice(-6)}`;
  const id = await seedRun(s, seeded, { pool });
  const { token } = await claimOf({ pool, workerId: await seedWorker(s, pool) });
  await recordOwnCheck(s, token, found);
  expect(await checkOf(id)).toEqual(found);
  const stale = { ...token, attempt: 7 };
  await expect(recordOwnCheck(s, stale, plainCheck('different', 'x'))).rejects.toMatchObject({ code: 'stale_attempt' });
});

test('a run that was to check its resume and did not is verified by a task once it has succeeded', async () => {
  const ended = await endedRun([10, 20], { verify_resume: true });
  expect(await checkOf(ended.id)).toMatchObject({ status: 'queued' });
  expect((await claimOf(ended)).kind).toBe('verify');
  const { id, pool } = await endedRun([10, 20]);
  expect(await checkOf(id)).toBeNull();
  expect(await claimRun(s, { workerId: await seedWorker(s, pool), pool })).toBeNull();
});
