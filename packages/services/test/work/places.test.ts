import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { type Place, placesOf } from '../../src/work/places.js';
import { seedProject } from '../seed-run.js';

/** Tasks ahead, by id. */
const aheadOf = (places: Map<string, Place>) => Object.fromEntries([...places].map(([id, { ahead }]) => [id, ahead]));

const t = await testServices();
afterAll(() => t.close());
const s = t.services;
const { projectId } = await seedProject(s);
const MOMENT = Date.UTC(2026, 0, 1);

async function queue(pool: string, id: string, priority: number, seconds: number) {
  const queuedAt = new Date(MOMENT + seconds * 1_000);
  await s.db.task.create({ data: { id, kind: 'train', projectId, pool, priority, status: 'queued', queuedAt } });
  return { id, pool, priority, queuedAt };
}

test('places go by priority, then age, then id, pool by pool, and paused tasks have none', async () => {
  const rows = [
    await queue('one', 'ftjob-c', 50, 2),
    await queue('one', 'ftjob-b', 50, 1),
    await queue('one', 'ftjob-a', 50, 1),
    await queue('one', 'ftjob-urgent', 90, 9),
    await queue('two', 'ftjob-other', 1, 0),
  ];
  await queue('one', 'ftjob-paused', 99, 0);
  await s.db.task.update({ where: { id: 'ftjob-paused' }, data: { status: 'paused' } });
  expect(aheadOf(await placesOf(s, rows))).toEqual({
    'ftjob-urgent': 0,
    'ftjob-a': 1,
    'ftjob-b': 2,
    'ftjob-c': 3,
    'ftjob-other': 0,
  });
});

test('a place is as SQL numbers it, for every task of a long queue of few priorities and moments', async () => {
  await s.pg.query(
    `INSERT INTO tasks (id, kind, project_id, pool, priority, status, queued_at)
     SELECT 'ftjob-l' || n, 'train', $1, 'long', 50 - n * 7 % 4, 'queued', now() - (n * 13 % 50) * interval '1 second' FROM generate_series(1, 2000) n`,
    [projectId],
  );
  const { rows } = await s.pg.query<{ id: string; pool: string; priority: number; queuedAt: Date; ahead: number }>(
    `SELECT id, pool, priority, queued_at AS "queuedAt",
       (row_number() OVER (ORDER BY priority DESC, queued_at, id) - 1)::int AS ahead FROM tasks WHERE pool = 'long'`,
  );
  const places = await placesOf(s, rows);
  expect(rows.map(({ id }) => places.get(id)?.ahead)).toEqual(rows.map(({ ahead }) => ahead));
});

test('an order is read once for all who ask within its life, and a task that came since has its place in it', async () => {
  const first = await queue('cached', 'ftjob-first', 50, 1);
  const asked = (row: typeof first, lifeMs: number) => placesOf(s, [row], lifeMs).then((map) => map.get(row.id)?.ahead);
  expect(await asked(first, 600_000)).toBe(0);
  await queue('cached', 'ftjob-ahead', 90, 0);
  const last = await queue('cached', 'ftjob-last', 50, 2);
  expect(await Promise.all([asked(first, 0), asked(last, 0)])).toEqual([0, 1]);
});

test('an order whose life is over is read anew', async () => {
  const first = await queue('short', 'ftjob-s1', 50, 1);
  expect((await placesOf(s, [first], 0)).get(first.id)?.ahead).toBe(0);
  await queue('short', 'ftjob-s2', 90, 0);
  expect((await placesOf(s, [first], 0)).get(first.id)?.ahead).toBe(1);
});
