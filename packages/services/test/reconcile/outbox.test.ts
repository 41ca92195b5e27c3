import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { offerForgotten, type Sweep } from '../../src/reconcile/outbox.js';
import { heartbeatWorker } from '../../src/work/heartbeat-worker.js';
import { wakeUpId } from '../../src/work/offer-task.js';
import { seedProject, seedWorker } from '../seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s = t.services;
const { projectId } = await seedProject(s);

const waiting = (pool: string): Promise<number> => s.queues.of(pool).getJobCountByTypes('prioritized');

/** Tasks of a pool that have been queued for a minute. */
const queueUp = (pool: string, count: number): Promise<unknown> =>
  s.pg.query(
    `INSERT INTO tasks (id, kind, project_id, pool, status, queued_at)
     SELECT 'ftjob-' || $2 || n, 'train', $1, $2, 'queued', now() - interval '1 minute' FROM generate_series(1, $3::int) n`,
    [projectId, pool, count],
  );

test('after Redis was wiped every task of a long backlog is offered again, once', async () => {
  await queueUp('long', 1201);
  expect(await offerForgotten(s, { after: '' }, 60_000)).toBe(1201);
  expect(await waiting('long')).toBe(1201);
  expect(await offerForgotten(s, { after: '' }, 60_000)).toBe(0);
  await s.redis.flushdb();
  expect(await offerForgotten(s, { after: '' }, 60_000)).toBe(1201);
  expect(await waiting('long')).toBe(1201);
  await s.pg.query('DELETE FROM tasks');
});

test('a round that has no time for all goes on where the last one stopped, until each was offered', async () => {
  await queueUp('rounds', 1201);
  const sweep: Sweep = { after: '' };
  const rounds = [];
  for (let i = 0; i < 4; i++) rounds.push(await offerForgotten(s, sweep, 0));
  expect(rounds).toEqual([500, 500, 201, 0]);
  expect(await waiting('rounds')).toBe(1201);
  await s.pg.query('DELETE FROM tasks');
});

test('a pool without workers keeps none out: what a free worker would take next is offered in the first round', async () => {
  await queueUp('aaa-nobody', 1201);
  await queueUp('zzz-workers', 3);
  const worker = await seedWorker(s, 'zzz-workers');
  await heartbeatWorker(s, worker, { status: 'ready' });
  await offerForgotten(s, { after: '' }, 0);
  // One free worker needs one wake-up now.
  expect(await waiting('zzz-workers')).toBe(1);
  const { rows } = await s.pg.query<{ id: string }>(
    `SELECT id FROM tasks WHERE pool = 'zzz-workers' ORDER BY queued_at, id`,
  );
  expect(await s.queues.of('zzz-workers').getJob(wakeUpId({ id: rows[0]?.id ?? '', submission: 1 }))).toBeDefined();
  await s.pg.query('DELETE FROM tasks');
});
