import { testServices } from '@moraine/testing';
import { afterAll, expect, test } from 'vitest';
import { offerForgotten } from '../../src/reconcile/outbox.js';
import { seedProject } from '../seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s = t.services;

test('after Redis was wiped every task of a long backlog is offered again, once', async () => {
  const { projectId } = await seedProject(s);
  await s.pg.query(
    `INSERT INTO tasks (id, kind, project_id, pool, status, queued_at)
     SELECT 'ftjob-' || n, 'train', $1, 'long', 'queued', now() - interval '1 minute' FROM generate_series(1, 1201) n`,
    [projectId],
  );
  expect(await offerForgotten(s)).toBe(1201);
  expect(await s.queues.of('long').getJobCountByTypes('prioritized')).toBe(1201);
  expect(await offerForgotten(s)).toBe(0);
});
