import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import {
  claimRun,
  failAttempt,
  finishAttempt,
  ingestMetrics,
  recordEvent,
  recordLogs,
  renewLease,
  type Services,
  startAttempt,
} from '../src/index.js';
import { seedProject, seedRun, seedWorker } from './seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;

test('the same worker that claims a run again makes the writes of its own older attempt bounce', async () => {
  const pool = `p-${newId('run').slice(-6)}`;
  await seedRun(s, await seedProject(s), { pool });
  const workerId = await seedWorker(s, pool);
  const older = await claimRun(s, { workerId, pool });
  if (!older) throw new Error('nothing to claim');
  await failAttempt(s, older.token, { cause: 'internal', code: 'gone', message: 'Gone.' });
  const newer = await claimRun(s, { workerId, pool });
  expect(newer?.token).toMatchObject({ attempt: older.token.attempt + 1, workerId });
  const { token } = older;
  const writes = {
    renew: () => renewLease(s, token),
    start: () => startAttempt(s, token, { startStep: 0 }),
    metrics: () => ingestMetrics(s, token, [{ step: 1, values: { train_loss: 1 } }]),
    event: () => recordEvent(s, token, { level: 'info', message: 'stale' }),
    logs: () => recordLogs(s, token, [{ line: 1, at: 0, level: 'info', message: 'stale' }]),
    finish: () => finishAttempt(s, token, { step: 1, trainedTokens: 1 }),
  };
  for (const [name, write] of Object.entries(writes))
    await expect(write(), name).rejects.toMatchObject({ code: 'stale_attempt' });
  expect(await s.db.logLine.count({ where: { taskId: token.taskId } })).toBe(0);
});

test('a renewal puts the end of the lease off, from now and by as long as it says', async () => {
  const pool = `p-${newId('run').slice(-6)}`;
  await seedRun(s, await seedProject(s), { pool });
  const claim = await claimRun(s, { workerId: await seedWorker(s, pool), pool, leaseMs: 1_000 });
  if (!claim) throw new Error('nothing to claim');
  const { taskId, attempt } = claim.token;
  await renewLease(s, claim.token, { leaseMs: 60_000 });
  const { rows } = await s.pg.query<{ left: number }>(
    'SELECT extract(epoch FROM lease_expires_at - now())::float8 AS left FROM attempts WHERE task_id = $1 AND attempt = $2',
    [taskId, attempt],
  );
  expect(rows[0]?.left).toBeGreaterThan(50);
  expect(rows[0]?.left).toBeLessThanOrEqual(60);
});
