import { afterAll, expect, test } from 'vitest';
import { FAULTS } from '../src/chaos/faults.js';
import { tallyOf } from '../src/chaos/tally.js';
import { testServices } from '../src/index.js';

const t = await testServices();
const { services: s } = t;
afterAll(() => t.close());

/** A run of four steps as rows: what the tally reads, and no more. */
async function seed(id: string, status: string, points: readonly number[], rolled = points.length): Promise<string> {
  const { pg } = s;
  await pg.query(`INSERT INTO projects (id, name) VALUES ('p', 'p') ON CONFLICT DO NOTHING`);
  await pg.query(
    `INSERT INTO bases (id, project_id, name, blob_prefix, sha256, size_bytes, config, parameters, context)
     VALUES ('b', 'p', 'b', 'b', '0', 1, '{}', 1, 1) ON CONFLICT DO NOTHING`,
  );
  const isOver = status !== 'queued';
  await pg.query(
    `INSERT INTO tasks (id, kind, project_id, status, finished_at, error_code, error_message)
     VALUES ($1, 'train', 'p', $2::text, CASE WHEN $3::boolean THEN now() END, CASE WHEN $2 = 'failed' THEN 'x' END, CASE WHEN $2 = 'failed' THEN 'x' END)`,
    [id, status, isOver],
  );
  await pg.query(
    `INSERT INTO runs (id, project_id, base_id, request, request_hash, config, seed, steps, training_file_id)
     VALUES ($1, 'p', 'b', '{}', '', '{}', 1, 4, 'f')`,
    [id],
  );
  await pg.query(
    `WITH series AS (INSERT INTO metric_series (project_id, run_id, name) VALUES ('p', $1, 'train_loss') RETURNING id),
       points AS (INSERT INTO metric_points SELECT id, unnest($2::int[]), 1 FROM series)
     INSERT INTO metric_rollups SELECT id, 0, $3, 1, 1, 1, 1, 1, 4, 1 FROM series`,
    [id, points, rolled],
  );
  return id;
}

const wrong = async (ids: readonly string[], harmsWorkers = false) => {
  const { lost, metricsLost, metricsDoubled, healthyTaken } = await tallyOf(s, ids, { harmsWorkers });
  return [lost, metricsLost, metricsDoubled, healthyTaken];
};

test('a run that is done, with each step once, has nothing wrong', async () => {
  expect(await wrong([await seed('whole', 'succeeded', [1, 2, 3, 4])])).toEqual([0, 0, 0, 0]);
});

test('runs that failed, wait, or are not there at all are lost', async () => {
  const ids = [await seed('failed', 'failed', [1]), await seed('waits', 'queued', [1]), 'never-stored'];
  expect(await wrong(ids)).toEqual([3, 0, 0, 0]);
});

test('a step that is missing is lost, one that a roll-up counted twice is doubled', async () => {
  expect(await wrong([await seed('hole', 'succeeded', [1, 2, 4])])).toEqual([0, 1, 0, 0]);
  expect(await wrong([await seed('twice', 'succeeded', [1, 2, 3, 4], 6)])).toEqual([0, 0, 2, 0]);
});

test('an attempt that was lost counts as taken where the fault harmed no worker', async () => {
  const id = await seed('taken', 'succeeded', [1, 2, 3, 4]);
  await s.pg.query(
    `INSERT INTO workers (id, name, status, host, pid, version, device, cores, memory_bytes) VALUES ('w', 'w', 'gone', 'h', 1, '0', '{}', 1, 1)`,
  );
  await s.pg.query(
    `INSERT INTO attempts (task_id, attempt, project_id, worker_id, status, cause, lease_expires_at) VALUES
       ($1, 1, 'p', 'w', 'lost', 'lost_worker', now()), ($1, 2, 'p', 'w', 'failed', 'storage', now()), ($1, 3, 'p', 'w', 'finished', NULL, now())`,
    [id],
  );
  expect(await wrong([id])).toEqual([0, 0, 0, 1]);
  expect(await wrong([id], true)).toEqual([0, 0, 0, 0]);
});

test('each fault has a name of its own', () => {
  expect(new Set(FAULTS.map(({ name }) => name)).size).toBe(FAULTS.length);
});
