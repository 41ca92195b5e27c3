import { setTimeout as sleep } from 'node:timers/promises';
import { databaseClock, migratedDatabase } from '@moraine/testing';
import { pino } from 'pino';
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest';
import {
  claimRun,
  openServices,
  pauseRun,
  type Reconciler,
  renewLease,
  resumeRun,
  startReconciler,
} from '../../src/index.js';
import { pullBack, type Reading, stepBetween } from '../../src/reconcile/clock.js';
import { seedProject, seedRun, seedWorker } from '../seed-run.js';

const database = await migratedDatabase();
const clock = await databaseClock(database.databaseUrl);
const s = await openServices({ ...database, log: pino({ level: 'silent' }) });
const seeded = await seedProject(s);
afterAll(async () => {
  await s.close();
  await database.close();
});

const MINUTES_5 = 300_000;
const LEASE_MS = 1_500;
const reconcilers: Reconciler[] = [];
beforeEach(() => clock.setTo(0));
afterEach(async () => {
  for (const one of reconcilers.splice(0)) await one.close();
});

const reading = (databaseMs: number, fromMs: number, untilMs = fromMs + 5): Reading => ({
  databaseMs,
  fromMs,
  untilMs,
});

test.each<[string, Reading, Reading, number]>([
  ['clocks that go alike', reading(1_000_000, 0), reading(1_002_003, 2_000), 0],
  ['a response that was long on its way', reading(1_000_000, 0), reading(1_009_000, 2_000, 9_500), 0],
  ['a clock kept in time little by little', reading(1_000_000, 0), reading(1_002_900, 2_000), 0],
  ['a clock put on', reading(1_000_000, 0, 0), reading(1_302_000, 2_000, 2_000), MINUTES_5],
  ['a clock put back', reading(1_000_000, 0, 0), reading(702_000, 2_000, 2_000), -MINUTES_5],
])('%s: the step is what did not pass here', (_what, before, after, step) => {
  expect(stepBetween(before, after)).toBe(step);
});

async function claimed(leaseMs = LEASE_MS) {
  const pool = `pool-${Math.random().toString(36).slice(2)}`;
  const id = await seedRun(s, seeded, { pool });
  const workerId = await seedWorker(s, pool);
  const claim = await claimRun(s, { workerId, pool, leaseMs });
  if (!claim) throw new Error('nothing was claimed');
  const taskOf = () => s.db.task.findUniqueOrThrow({ where: { id } });
  return { id, pool, token: claim.token, taskOf };
}

/** Renews three times a lease, as a worker does, until it is stopped. */
function keepAlive(token: Parameters<typeof renewLease>[1]): () => Promise<void> {
  const stop = new AbortController();
  const renewing = (async () => {
    while (!stop.signal.aborted) {
      await renewLease(s, token, { leaseMs: LEASE_MS });
      await sleep(LEASE_MS / 3, undefined, { signal: stop.signal }).catch(() => undefined);
    }
  })();
  return async () => {
    stop.abort();
    await renewing;
  };
}

const lead = async (): Promise<void> => {
  const one = startReconciler(s, { intervalMs: 50, leaseMs: LEASE_MS });
  reconcilers.push(one);
  await expect.poll(one.isLeader).toBe(true);
  // Its patience at the start is over.
  await sleep(LEASE_MS + 200);
};

test.each([MINUTES_5, -MINUTES_5])(
  'a clock that is set by %i ms takes no run from a worker that renews',
  async (step) => {
    const { id, token, taskOf } = await claimed();
    const stop = keepAlive(token);
    try {
      await lead();
      await clock.setTo(step);
      await sleep(2 * LEASE_MS);
      await clock.setTo(0);
      await sleep(2 * LEASE_MS);
      expect(await taskOf()).toMatchObject({ status: 'running', attempt: 1 });
      expect((await taskOf()).state).not.toBe('lost_contact');
      // Nor for a moment, which a renewal would have ended.
      expect(await s.db.event.count({ where: { taskId: id, message: { startsWith: 'Contact with' } } })).toBe(0);
    } finally {
      await stop();
    }
  },
);

test('a worker that died is noticed after a clock was put on as well', async () => {
  const { taskOf } = await claimed();
  await lead();
  // Alive when the clock is set, dead from then on.
  const again = await claimed();
  await clock.setTo(MINUTES_5);
  const statuses = async () => [(await taskOf()).status, (await again.taskOf()).status];
  await expect.poll(statuses, { timeout: 20_000, interval: 100 }).toEqual(['queued', 'queued']);
});

test('a clock that was put back leaves no lease, no pause and no heartbeat in its future', async () => {
  const { token, pool } = await claimed();
  const paused = await seedRun(s, seeded, { pool });
  await s.db.task.update({ where: { id: paused }, data: { queuedAt: new Date(Date.now() + 30_000) } });
  await clock.setTo(-MINUTES_5);
  await pullBack(s, LEASE_MS);
  const { rows } = await s.pg.query(
    `SELECT a.lease_expires_at - now() <= interval '1.5 s' AS lease, w.heartbeat_at <= now() AS heartbeat, t.queued_at <= now() AS queued
     FROM attempts a JOIN workers w ON w.id = a.worker_id CROSS JOIN tasks t WHERE a.task_id = $1 AND t.id = $2`,
    [token.taskId, paused],
  );
  expect(rows).toEqual([{ lease: true, heartbeat: true, queued: true }]);
});

test('a run that is queued while the clock is behind that of the API is claimed at once', async () => {
  await clock.setTo(-MINUTES_5);
  expect((await claimed()).token.attempt).toBe(1);
});

test('so is one that is resumed then', async () => {
  const pool = 'resumed';
  const actor = { projectId: seeded.projectId, keyId: null };
  const id = await seedRun(s, seeded, { pool });
  await pauseRun(s, actor, id);
  await clock.setTo(-MINUTES_5);
  expect((await resumeRun(s, actor, id)).status).toBe('queued');
  expect((await claimRun(s, { workerId: await seedWorker(s, pool), pool }))?.token.taskId).toBe(id);
});
