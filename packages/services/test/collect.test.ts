import { Readable } from 'node:stream';
import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { claimRun } from '../src/index.js';
import { collectExpiredFiles, collectOrphans, forgetExpired } from '../src/reconcile/orphans.js';
import { seedProject, seedRun, seedWorker } from './seed-run.js';

const t = await testServices();
const s = t.services;
afterAll(() => t.close());
const ago = (hours: number) => new Date(Date.now() - hours * 3_600_000);

test('what an ended attempt left without a row is removed, what a row names is kept', async () => {
  const seeded = await seedProject(s);
  const workerId = await seedWorker(s);
  const runId = await seedRun(s, seeded);
  await claimRun(s, { workerId, pool: 'default' });
  const prefix = `runs/${runId}/attempts/1`;
  for (const key of ['checkpoints/step-10/state.json', 'checkpoints/step-20/state.json'])
    await s.blobs.put(`${prefix}/${key}`, Readable.from(['x']));
  await s.db.checkpoint.create({
    data: {
      id: newId('checkpoint'),
      projectId: seeded.projectId,
      runId,
      attempt: 1,
      step: 10,
      blobKey: `${prefix}/checkpoints/step-10`,
      sizeBytes: 1,
      sha256: 'x',
    },
  });
  expect(await collectOrphans(s)).toBe(0); // it still runs
  await s.pg.query(`UPDATE attempts SET status = 'lost', cause = 'lost_worker', finished_at = $2 WHERE task_id = $1`, [
    runId,
    ago(2),
  ]);
  expect(await collectOrphans(s)).toBe(1);
  expect((await s.blobs.list(prefix)).map(({ path }) => path)).toEqual(['checkpoints/step-10/state.json']);

  // Of an attempt that ended long ago: a checkpoint was dropped lately and its files could not be removed then.
  await s.pg.query(`UPDATE attempts SET finished_at = $2 WHERE task_id = $1`, [runId, ago(24 * 60)]);
  expect(await collectOrphans(s)).toBe(0);
  await s.db.checkpoint.updateMany({ where: { runId }, data: { deletedAt: ago(1) } });
  expect(await collectOrphans(s)).toBe(1);
  expect(await s.blobs.list(prefix)).toEqual([]);
});

test('a file past its time loses its bytes, unless a run that has not ended trains on it', async () => {
  const seeded = await seedProject(s);
  const free = await seedProject(s);
  await seedRun(s, seeded);
  const ids = [seeded.fileId, free.fileId];
  await s.db.file.updateMany({ where: { id: { in: ids } }, data: { expiresAt: ago(1) } });
  expect(await collectExpiredFiles(s)).toBe(1);
  const left = await s.db.file.findMany({ where: { id: { in: ids }, deletedAt: null } });
  expect(left.map(({ id }) => id)).toEqual([seeded.fileId]);
});

test('links and sessions past their time and workers silent for a week are forgotten, the others stay', async () => {
  const { projectId } = await seedProject(s);
  const hours = [1, -1];
  for (const age of hours) {
    await s.db.loginLink.create({ data: { hash: `link${age}`, projectId, expiresAt: ago(age) } });
    await s.db.session.create({ data: { hash: `session${age}`, projectId, expiresAt: ago(age) } });
  }
  const [old, young] = [await seedWorker(s, 'silent', 'old'), await seedWorker(s, 'silent', 'young')];
  await s.db.worker.update({ where: { id: old }, data: { heartbeatAt: ago(8 * 24) } });
  await forgetExpired(s);
  expect((await s.db.loginLink.findMany({ where: { projectId } })).map(({ hash }) => hash)).toEqual(['link-1']);
  expect((await s.db.session.findMany({ where: { projectId } })).map(({ hash }) => hash)).toEqual(['session-1']);
  expect((await s.db.worker.findMany({ where: { pool: 'silent' } })).map(({ id }) => id)).toEqual([young]);
});
