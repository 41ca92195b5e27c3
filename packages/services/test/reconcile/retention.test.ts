import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { applyRetention, KEEP_ALL } from '../../src/reconcile/retention.js';
import { seedProject, seedRun } from '../seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s = t.services;
const project = await seedProject(s);

/** A run that ended so many days ago, or has not; with log lines and events. */
async function runOf(endedDaysAgo: number | null, lines: number): Promise<string> {
  const id = await seedRun(s, project);
  if (endedDaysAgo !== null)
    await s.pg.query(
      `UPDATE tasks SET status = 'succeeded', finished_at = now() - $2 * interval '1 day' WHERE id = $1`,
      [id, endedDaysAgo],
    );
  await s.pg.query(
    `INSERT INTO log_lines (task_id, project_id, attempt, line, at, level, message)
     SELECT $1, $2, 1, n, now() - interval '90 days', 'info', 'line' FROM generate_series(1, $3::int) n`,
    [id, project.projectId, lines],
  );
  await s.pg.query(
    `INSERT INTO events (id, project_id, task_id, attempt, level, type, message) SELECT $1 || n, $2, $1, 1, 'info', 'message', 'said' FROM generate_series(1, 2) n`,
    [id, project.projectId],
  );
  return id;
}

test('history goes by the end of its run: what is younger, and runs that have not ended, keep theirs whatever its age', async () => {
  const [old, young, running] = [await runOf(40, 5_001), await runOf(20, 3), await runOf(null, 3)];
  const linesOf = (taskId: string) => s.db.logLine.count({ where: { taskId } });
  const eventsOf = (taskId: string) => s.db.event.count({ where: { taskId } });
  expect(await applyRetention(s, KEEP_ALL)).toEqual({ logs: 0, events: 0, points: 0 });
  expect(await applyRetention(s, { ...KEEP_ALL, logsDays: 30 }, 60_000)).toEqual({ logs: 5_001, events: 0, points: 0 });
  expect([await linesOf(old), await linesOf(young), await linesOf(running)]).toEqual([0, 3, 3]);
  expect(await eventsOf(old)).toBe(2);
  expect(await applyRetention(s, { ...KEEP_ALL, logsDays: 30, eventsDays: 30 })).toEqual({
    logs: 0,
    events: 2,
    points: 0,
  });
  expect([await eventsOf(old), await eventsOf(young), await eventsOf(running)]).toEqual([0, 2, 2]);
});

test('a round that has no time left removes one page, and the next goes on', async () => {
  await runOf(100, 5_001);
  expect((await applyRetention(s, { ...KEEP_ALL, logsDays: 60 }, 0)).logs).toBe(5_000);
  expect((await applyRetention(s, { ...KEEP_ALL, logsDays: 60 }, 0)).logs).toBe(1);
});
