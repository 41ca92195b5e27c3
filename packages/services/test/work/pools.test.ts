import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { claimRun } from '../../src/kinds/claim-run.js';
import { listQueue } from '../../src/kinds/list-queue.js';
import { heartbeatWorker } from '../../src/work/heartbeat-worker.js';
import { listPools } from '../../src/work/list-pools.js';
import { retireWorker } from '../../src/work/retire-worker.js';
import { seedProject, seedRun, seedWorker } from '../seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s = t.services;
const ours = await seedProject(s);
const theirs = await seedProject(s);
const actor = { projectId: ours.projectId, keyId: null };

const queued = (id: string, secondsAgo: number) =>
  s.pg.query(`UPDATE tasks SET queued_at = now() - $2 * interval '1 second' WHERE id = $1`, [id, secondsAgo]);
const poolOf = async (pool: string) => (await listPools(s, actor, { pool })).data[0];

test('a pool says what its workers do, what waits and runs, and how many workers would leave nothing waiting', async () => {
  const pool = 'counted';
  const [busy, free, cordoned] = [await seedWorker(s, pool), await seedWorker(s, pool), await seedWorker(s, pool)];
  await retireWorker(s, await seedWorker(s, pool));
  await seedRun(s, ours, { pool, priority: 90 });
  await claimRun(s, { workerId: busy, pool });
  await heartbeatWorker(s, busy, { status: 'busy' });
  await heartbeatWorker(s, free, { status: 'ready' });
  await s.db.worker.update({ where: { id: cordoned }, data: { status: 'cordoned' } });
  await queued(await seedRun(s, theirs, { pool }), 100);
  await queued(await seedRun(s, ours, { pool }), 50);
  await queued(await seedRun(s, ours, { pool }), -60);
  const paused = await seedRun(s, ours, { pool });
  await s.db.task.update({ where: { id: paused }, data: { status: 'paused' } });
  const deleted = await seedRun(s, ours, { pool });
  await s.db.task.update({ where: { id: deleted }, data: { deletedAt: new Date() } });

  const found = await poolOf(pool);
  expect(found).toMatchObject({
    id: pool,
    workers: { registering: 0, ready: 1, busy: 1, cordoned: 1, draining: 0, unhealthy: 0, lost: 0 },
    queued: 3,
    runnable: 2,
    running: 1,
    paused: 1,
    slots_free: 1,
    desired: 3,
  });
  expect(found?.oldest_wait_s).toBeGreaterThanOrEqual(100);
  expect(found?.oldest_wait_s).toBeLessThan(160);
  expect((await listPools(s, actor)).data.map(({ id }) => id)).toEqual([pool]);
});

test('a pool of nothing is there, with zeros, when it is asked for by name', async () => {
  expect(await poolOf('nowhere')).toEqual({
    id: 'nowhere',
    object: 'pool',
    workers: { registering: 0, ready: 0, busy: 0, cordoned: 0, draining: 0, unhealthy: 0, lost: 0 },
    queued: 0,
    runnable: 0,
    running: 0,
    paused: 0,
    slots_free: 0,
    oldest_wait_s: 0,
    desired: 0,
  });
  await seedWorker(s, 'idle');
  await seedRun(s, ours, { pool: 'unserved' });
  const { data } = await listPools(s, actor);
  expect(data.find(({ id }) => id === 'idle')).toMatchObject({ slots_free: 1, queued: 0, desired: 0 });
  expect(data.find(({ id }) => id === 'unserved')).toMatchObject({ slots_free: 0, queued: 1, desired: 1 });
});

test("the queue lists the caller's tasks in their order, with their places among those of all projects", async () => {
  const pool = 'in-order';
  const [late, early, urgent, foreign] = [
    await seedRun(s, ours, { pool }),
    await seedRun(s, ours, { pool }),
    await seedRun(s, ours, { pool, priority: 90 }),
    await seedRun(s, theirs, { pool, priority: 60 }),
  ];
  for (const [id, ago] of [
    [late, 10],
    [early, 20],
    [urgent, 1],
    [foreign, 5],
  ] as const)
    await queued(id, ago);
  await s.db.run.update({ where: { id: early }, data: { suffix: 'Early' } });
  const { data } = await listQueue(s, actor, { limit: 10, pool });
  expect(data.map(({ id, position, priority }) => [id, position, priority])).toEqual([
    [urgent, 1, 90],
    [early, 3, 50],
    [late, 4, 50],
  ]);
  expect(data[1]).toMatchObject({ kind: 'train', run_id: early, name: 'Early', pool, attempt: 0 });
  expect(data[1]?.reason).toMatchObject({ code: 'no_worker', message: expect.stringContaining(`'${pool}'`) });
  expect(Math.abs(Date.now() / 1_000 - 20 - (data[1]?.queued_at ?? 0))).toBeLessThan(30);
});

test('pages of the queue go from pool to pool, and on from a task that has left it meanwhile', async () => {
  const all = await listQueue(s, actor, { limit: 200 });
  expect(all.data.map(({ pool }) => pool)).toEqual(all.data.map(({ pool }) => pool).toSorted());
  expect(new Set(all.data.map(({ pool }) => pool)).size).toBeGreaterThan(2);
  const ids: string[] = [];
  let page = await listQueue(s, actor, { limit: 1 });
  for (;;) {
    ids.push(...page.data.map(({ id }) => id));
    if (!page.has_more) break;
    const after = page.last_id ?? '';
    await s.db.task.update({ where: { id: after }, data: { status: 'paused' } });
    page = await listQueue(s, actor, { limit: 1, after });
    await s.db.task.update({ where: { id: after }, data: { status: 'queued' } });
  }
  expect(ids).toEqual(all.data.map(({ id }) => id));
});

test('a check of a run waits under its own id, and names the run', async () => {
  const pool = 'checks';
  const run = await seedRun(s, ours, { pool });
  await s.db.task.update({ where: { id: run }, data: { status: 'succeeded', finishedAt: new Date() } });
  const id = newId('verification');
  const { projectId } = ours;
  await s.db.task.create({ data: { id, kind: 'verify', projectId, pool, status: 'queued' } });
  await s.db.verification.create({ data: { id, projectId, runId: run } });
  expect((await listQueue(s, actor, { limit: 10, pool })).data).toMatchObject([{ id, kind: 'verify', run_id: run }]);
});
