import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, expect, test, vi } from 'vitest';
import { claimRun, isServerAway, type Services } from '../../src/index.js';
import { claim } from '../../src/work/claim.js';
import { seedProject, seedRun, seedWorker } from '../seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;

async function queued(): Promise<{ pool: string; workerId: string; id: string }> {
  const pool = `p-${newId('run').slice(-6)}`;
  const id = await seedRun(s, await seedProject(s), { pool });
  return { pool, workerId: await seedWorker(s, pool), id };
}

test('a claim whose answer was lost is the next claim of its worker, and of no other', async () => {
  const { pool, workerId } = await queued();
  const lost = await claim(s, { workerId, pool, kinds: ['train'], leaseMs: 1_000 });
  const other = await seedWorker(s, pool, 'other');
  expect(await claimRun(s, { workerId: other, pool, isAgain: true })).toBeNull();
  expect(await claimRun(s, { workerId, pool })).toBeNull();
  const again = await claimRun(s, { workerId, pool, isAgain: true, leaseMs: 60_000 });
  expect(again?.token).toEqual(lost?.token);
  const { rows } = await s.pg.query<{ left: number }>(
    'SELECT extract(epoch FROM lease_expires_at - now())::float8 AS left FROM attempts WHERE task_id = $1',
    [lost?.token.taskId],
  );
  expect(rows.map(({ left }) => Math.round(left / 10))).toEqual([6]);
});

test('a claim after which Postgres ends the connection costs no attempt: the worker takes it again', async () => {
  const { pool, workerId, id } = await queued();
  const blocker = await s.pg.connect();
  let failure: unknown;
  try {
    // What is claimed is read from there.
    await blocker.query('BEGIN; LOCK TABLE bases IN ACCESS EXCLUSIVE MODE');
    const claiming = claimRun(s, { workerId, pool }).catch((error: unknown) => error);
    await vi.waitFor(async () => {
      const { rowCount } = await blocker.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
      );
      expect(rowCount).toBe(1);
    }, 10_000);
    failure = await claiming;
  } finally {
    await blocker.query('ROLLBACK');
    blocker.release();
  }
  expect(isServerAway(failure)).toBe(true);
  const again = await claimRun(s, { workerId, pool, isAgain: true });
  expect(again?.token).toEqual({ taskId: id, attempt: 1, workerId });
});
