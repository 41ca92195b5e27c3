import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { claimRun } from '../../src/kinds/claim-run.js';
import { markLostWorkers } from '../../src/reconcile/leases.js';
import { getRun } from '../../src/training/get-run.js';
import { cordonWorker, drainWorker, uncordonWorker } from '../../src/work/ask-worker.js';
import { heartbeatWorker } from '../../src/work/heartbeat-worker.js';
import { retireWorker } from '../../src/work/retire-worker.js';
import { seedProject, seedRun, seedWorker } from '../seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s = t.services;
const project = await seedProject(s);
const actor = { projectId: project.projectId, keyId: null };
const statusOf = async (id: string) => (await s.db.worker.findUniqueOrThrow({ where: { id } })).status;

test('a cordoned worker claims nothing, whatever it says of itself, until that is taken back', async () => {
  const pool = 'cordon';
  const id = await seedRun(s, project, { pool });
  const workerId = await seedWorker(s, pool);
  expect(await cordonWorker(s, actor, workerId)).toMatchObject({ id: workerId, status: 'cordoned' });
  expect(await heartbeatWorker(s, workerId, { status: 'ready' })).toEqual({ asked: 'cordon' });
  expect(await statusOf(workerId)).toBe('cordoned');
  expect(await claimRun(s, { workerId, pool })).toBeNull();
  const { state_reason: why } = await getRun(s, actor, id);
  expect(why?.message).toBe("1 worker of pool 'cordon' takes nothing new (cordoned or draining); it is next.");
  expect(await uncordonWorker(s, actor, workerId)).toMatchObject({ status: 'ready' });
  expect((await claimRun(s, { workerId, pool }))?.token.taskId).toBe(id);
  await cordonWorker(s, actor, workerId);
  expect(await uncordonWorker(s, actor, workerId)).toMatchObject({ status: 'busy', run_id: id });
});

test('a cordon outlasts a loss of contact and a fault', async () => {
  const pool = 'outlasts';
  const workerId = await seedWorker(s, pool);
  await seedRun(s, project, { pool });
  await cordonWorker(s, actor, workerId);
  await heartbeatWorker(s, workerId, { status: 'unhealthy', statusReason: 'full' });
  expect(await statusOf(workerId)).toBe('unhealthy');
  await s.pg.query(`UPDATE workers SET heartbeat_at = now() - interval '1 hour' WHERE id = $1`, [workerId]);
  await markLostWorkers(s);
  expect(await statusOf(workerId)).toBe('lost');
  await heartbeatWorker(s, workerId, { status: 'ready' });
  expect(await statusOf(workerId)).toBe('cordoned');
  expect(await claimRun(s, { workerId, pool })).toBeNull();
});

test('a worker that drains claims nothing and hears of it by its heartbeat; it cannot be taken back', async () => {
  const pool = 'drain';
  const workerId = await seedWorker(s, pool);
  await seedRun(s, project, { pool });
  await cordonWorker(s, actor, workerId);
  expect(await drainWorker(s, actor, workerId)).toMatchObject({ status: 'draining' });
  expect(await claimRun(s, { workerId, pool })).toBeNull();
  expect(await heartbeatWorker(s, workerId, { status: 'ready' })).toEqual({ asked: 'drain' });
  // What it said before it heard of it does not make it ready again.
  expect(await statusOf(workerId)).toBe('draining');
  expect(await claimRun(s, { workerId, pool })).toBeNull();
  for (const verb of [cordonWorker, uncordonWorker])
    await expect(verb(s, actor, workerId)).rejects.toMatchObject({ code: 'conflict' });
  expect((await drainWorker(s, actor, workerId)).id).toBe(workerId);
});

test('a worker that there is not, or that has ended, is not found', async () => {
  const gone = await seedWorker(s, 'gone');
  await retireWorker(s, gone);
  for (const id of ['worker-none', gone])
    for (const verb of [cordonWorker, uncordonWorker, drainWorker])
      await expect(verb(s, actor, id)).rejects.toMatchObject({ code: 'not_found' });
});
