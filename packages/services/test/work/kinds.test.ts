import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Services } from '../../src/ground/context.js';
import { claimRun } from '../../src/kinds/claim-run.js';
import { expireLeases, markLostContact } from '../../src/reconcile/leases.js';
import { claim } from '../../src/work/claim.js';
import { failTask, releaseTask } from '../../src/work/end-attempt.js';
import { finishTask } from '../../src/work/finish-task.js';
import type { Kind } from '../../src/work/kind.js';
import { recordEvent } from '../../src/work/record-event.js';
import { recordLogs } from '../../src/work/record-logs.js';
import { renewLease } from '../../src/work/renew-lease.js';
import { markTaskRunning, startTask } from '../../src/work/start-task.js';
import type { Verdict } from '../../src/work/verdict.js';
import { seedProject, seedWorker } from '../seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;

/** A second kind that only this test knows; nothing stands beside its tasks. */
const verdicts: Verdict[] = [];
const trial: Kind = {
  name: 'trial',
  noun: 'trial',
  keeps: 'checkpoint',
  lessMemory: async () => 'half of it',
  ended: async (_client, _taskId, verdict) => {
    verdicts.push(verdict);
  },
};
const kinds = new Map([[trial.name, trial]]);

let projectId: string;
beforeAll(async () => {
  await s.pg.query('ALTER TABLE tasks DROP CONSTRAINT tasks_kind_word');
  projectId = (await seedProject(s)).projectId;
});

/** A queued trial in a pool of its own, and a worker there. */
async function seedTrial() {
  const pool = `p-${newId('run').slice(-6)}`;
  const id = newId('run');
  await s.db.task.create({ data: { id, kind: trial.name, projectId, pool, status: 'queued' } });
  const workerId = await seedWorker(s, pool);
  const take = async () => {
    const claimed = await claim(s, { workerId, pool, kinds: [trial.name] });
    if (!claimed) throw new Error('nothing to claim');
    return claimed.token;
  };
  return { id, pool, workerId, take };
}

const taskOf = (id: string) => s.db.task.findUniqueOrThrow({ where: { id } });
const messagesOf = async (taskId: string) =>
  (await s.db.event.findMany({ where: { taskId }, orderBy: { seq: 'asc' } })).map((event) => event.message);
const expire = (taskId: string) =>
  s.pg.query(`UPDATE attempts SET lease_expires_at = now() - interval '5 seconds' WHERE task_id = $1`, [taskId]);

test('a worker claims only tasks of the kinds that it can execute', async () => {
  const { id, pool, workerId, take } = await seedTrial();
  expect(await claimRun(s, { workerId, pool })).toBeNull();
  expect(await take()).toEqual({ taskId: id, attempt: 1, workerId });
});

test('a task of another kind is started, says events and log lines, and ends as its kind says, with no run beside it', async () => {
  const { id, take } = await seedTrial();
  const token = await take();
  await startTask(s, token, { startStep: 3 });
  await markTaskRunning(s, token, { level: 'info', message: 'On its way' });
  await recordLogs(s, token, [{ line: 1, at: 0, level: 'info', message: 'a line' }]);
  await renewLease(s, token);
  expect(await taskOf(id)).toMatchObject({ status: 'running', state: null });
  const finish = () =>
    finishTask(s, token, 'succeeded', async (_client, outcome) => ({ level: 'info', message: `It ${outcome}` }));
  await finish();
  await finish();
  expect(await taskOf(id)).toMatchObject({ status: 'succeeded', finishedAt: expect.any(Date) });
  expect(await messagesOf(id)).toEqual(['On its way', 'It succeeded']);
  expect(await s.db.attempt.findMany({ where: { taskId: id } })).toMatchObject([{ status: 'finished', startStep: 3 }]);
  expect(await s.db.run.count()).toBe(0);
});

test('the fence of another kind refuses an attempt that was overtaken', async () => {
  const { id, take } = await seedTrial();
  const older = await take();
  expect(await failTask(s, trial, older, { cause: 'hardware', code: 'killed', message: 'Killed.' })).toBe('retry');
  const newer = await take();
  expect(newer.attempt).toBe(2);
  const finished = async () => ({ level: 'info', message: 'stale' }) as const;
  const writes = {
    start: () => startTask(s, older, {}),
    running: () => markTaskRunning(s, older, { level: 'info', message: 'stale' }),
    event: () => recordEvent(s, older, { level: 'info', message: 'stale' }),
    logs: () => recordLogs(s, older, [{ line: 1, at: 0, level: 'info', message: 'stale' }]),
    renew: () => renewLease(s, older),
    release: () => releaseTask(s, trial, older, 'stale'),
    finish: () => finishTask(s, older, 'succeeded', finished),
  };
  for (const [name, write] of Object.entries(writes))
    await expect(write(), name).rejects.toMatchObject({ code: 'stale_attempt' });
  expect(await messagesOf(id)).not.toContain('stale');
  await expect(renewLease(s, newer)).resolves.toEqual({ wish: null });
});

test('another kind is retried by the same verdicts, writes its own part of them and is called by its noun', async () => {
  const { id, take } = await seedTrial();
  verdicts.length = 0;
  const oom = { cause: 'oom', code: 'out_of_memory', message: 'Out of memory.' } as const;
  expect(await failTask(s, trial, await take(), oom)).toBe('retry_smaller');
  expect(await failTask(s, trial, await take(), oom)).toBe('failed');
  expect(verdicts).toEqual(['retry_smaller', 'failed']);
  expect(await taskOf(id)).toMatchObject({ status: 'failed', errorCode: 'out_of_memory' });
  expect(await messagesOf(id)).toEqual([
    'Out of memory. The trial is queued again with half of it.',
    'The trial failed: Out of memory.',
  ]);
});

test('a drained worker gives a task of another kind back, and its budget is not charged', async () => {
  const { id, take } = await seedTrial();
  await s.db.task.update({ where: { id }, data: { maxAttempts: 1 } });
  for (let attempt = 1; attempt <= 2; attempt++) {
    const token = await take();
    expect(token.attempt).toBe(attempt);
    expect(await releaseTask(s, trial, token, 'The worker was stopped.')).toBe('retry');
    expect(await releaseTask(s, trial, token, 'The worker was stopped.')).toBe('already');
  }
  expect(await taskOf(id)).toMatchObject({ status: 'queued', attempt: 2 });
});

test('a lost attempt is ended by its kind; one of a kind that this build does not know stays and keeps no other waiting', async () => {
  const known = await seedTrial();
  const unknown = await seedTrial();
  for (const { take } of [unknown, known]) await take();
  await s.db.task.update({ where: { id: unknown.id }, data: { kind: 'unheard' } });
  for (const { id } of [unknown, known]) await expire(id);
  expect(await markLostContact(s)).toBe(2);
  expect(await expireLeases(s, null, kinds)).toBe(1);
  expect(await taskOf(known.id)).toMatchObject({ status: 'queued', stateReason: { code: 'resuming' } });
  expect(await taskOf(unknown.id)).toMatchObject({ status: 'running', state: 'lost_contact' });
});
