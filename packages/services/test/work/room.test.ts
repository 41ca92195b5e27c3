import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { claimRun } from '../../src/index.js';
import { seedProject, seedRun, seedWorker } from '../seed-run.js';

const t = await testServices();
const { services: s } = t;
const seeded = await seedProject(s);
afterAll(() => t.close());

const GB = 2 ** 30;

async function queued(pool: string, needs: { diskBytes?: number; memoryBytes?: number }): Promise<string> {
  const id = await seedRun(s, seeded, { pool });
  await s.db.task.update({ where: { id }, data: needs });
  return id;
}
const claimedBy = async (pool: string, room: object): Promise<string | null> =>
  (await claimRun(s, { workerId: await seedWorker(s, pool), pool, room }))?.token.taskId ?? null;

test('a worker takes the first run that its disk has room for, and leaves the others to larger ones', async () => {
  const large = await queued('disk', { diskBytes: 10 * GB });
  const small = await queued('disk', { diskBytes: GB });
  expect(await claimedBy('disk', { disk: GB / 2 })).toBeNull();
  expect(await claimedBy('disk', { disk: 2 * GB })).toBe(small);
  expect(await claimedBy('disk', { disk: 2 * GB })).toBeNull();
  expect(await claimedBy('disk', {})).toBe(large);
});

test('a run whose memory is not free now waits; one that is larger than the worker at all is tried', async () => {
  const id = await queued('memory', { memoryBytes: 4 * GB });
  expect(await claimedBy('memory', { memory: 3 * GB, memoryLimit: 8 * GB })).toBeNull();
  expect(await claimedBy('memory', { memory: 5 * GB, memoryLimit: 8 * GB })).toBe(id);
  const huge = await queued('memory', { memoryBytes: 40 * GB });
  expect(await claimedBy('memory', { memory: GB, memoryLimit: 8 * GB })).toBe(huge);
});

test('a run of before, whose needs nobody wrote down, fits everywhere', async () => {
  const id = await seedRun(s, seeded, { pool: 'unknown' });
  expect(await claimedBy('unknown', { disk: 0, memory: 0, memoryLimit: GB })).toBe(id);
});
