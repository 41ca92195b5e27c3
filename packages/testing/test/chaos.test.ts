import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openFakeTime } from '../src/chaos/fake-time.js';
import type { Fault } from '../src/chaos/faults/fault.js';
import { FAULTS } from '../src/chaos/faults/index.js';
import { PHASES, type Phase, untilPhase } from '../src/chaos/phase.js';
import { planOf, realPlanOf, WITH_REAL } from '../src/chaos/plan.js';
import type { Part } from '../src/chaos/process-part.js';
import { countLanded, force, WRITES } from '../src/chaos/stale-writes.js';
import { tallyOf } from '../src/chaos/tally.js';
import { ownEnv } from '../src/env.js';
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
  const isOver = !['queued', 'running'].includes(status);
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

async function addAttempt(id: string, attempt: number, status: string, cause: string | null = null): Promise<void> {
  await s.pg.query(
    `INSERT INTO workers (id, name, status, host, pid, version, device, cores, memory_bytes)
     VALUES ('w', 'w', 'gone', 'h', 1, '0', '{}', 1, 1) ON CONFLICT DO NOTHING`,
  );
  await s.pg.query(
    `INSERT INTO attempts (task_id, attempt, project_id, worker_id, status, cause, lease_expires_at) VALUES ($1, $2, 'p', 'w', $3, $4, now())`,
    [id, attempt, status, cause],
  );
}

/** A run that is done, one attempt of which was lost. */
async function seedLost(id: string, attempt: number): Promise<string> {
  await seed(id, 'succeeded', [1, 2, 3, 4]);
  await addAttempt(id, attempt, 'lost', 'lost_worker');
  return id;
}

const wrong = async (ids: readonly string[], harms: Fault['harms'] = 'none', loss = 1) => {
  const tally = await tallyOf(s, ids, { harms, lossAt: () => loss });
  const { lost, metricsLost, metricsDoubled, metricsWrong, healthyTaken } = tally;
  return [lost, metricsLost, metricsDoubled, metricsWrong, healthyTaken];
};

test('a run that is done, with each step once, has nothing wrong', async () => {
  expect(await wrong([await seed('whole', 'succeeded', [1, 2, 3, 4])])).toEqual([0, 0, 0, 0, 0]);
});

test('runs that failed, wait, or are not there at all are lost', async () => {
  const ids = [await seed('failed', 'failed', [1]), await seed('waits', 'queued', [1]), 'never-stored'];
  expect(await wrong(ids)).toEqual([3, 0, 0, 0, 0]);
});

test('a step that is missing is lost, one that a roll-up counted twice is doubled', async () => {
  expect(await wrong([await seed('hole', 'succeeded', [1, 2, 4])])).toEqual([0, 1, 0, 0, 0]);
  expect(await wrong([await seed('twice', 'succeeded', [1, 2, 3, 4], 6)])).toEqual([0, 0, 2, 0, 0]);
});

test('an attempt that was lost counts as taken where the fault harmed no worker', async () => {
  const id = await seedLost('taken', 1);
  await addAttempt(id, 2, 'failed', 'storage');
  await addAttempt(id, 3, 'finished');
  expect(await wrong([id])).toEqual([0, 0, 0, 0, 1]);
  expect(await wrong([id], 'one')).toEqual([0, 0, 0, 0, 0]);
});

test('a second attempt that was lost counts as taken where the fault harmed one worker', async () => {
  const ids = [await seedLost('first', 1), await seedLost('second', 1)];
  expect(await wrong(ids, 'one')).toEqual([0, 0, 0, 0, 1]);
  expect(await wrong(ids, 'all')).toEqual([0, 0, 0, 0, 0]);
});

test('points that differ from those of a run to which nothing happens are wrong', async () => {
  expect(await wrong([await seed('other', 'succeeded', [1, 2, 3, 4])], 'none', 2)).toEqual([0, 0, 0, 4, 0]);
});

test('writes of an attempt that may write count as accepted, those of one that is over do not', async () => {
  const runs = { live: await seed('live', 'running', [1]), over: await seedLost('over', 1) };
  await s.pg.query(`UPDATE tasks SET attempt = 1 WHERE id = ANY($1)`, [Object.values(runs)]);
  await addAttempt(runs.live, 1, 'running');
  const tokenOf = (taskId: string) => ({ taskId, attempt: 1, workerId: 'w' });
  expect(await force({ s }, tokenOf(runs.over), WRITES, WRITES.length)).toBe(0);
  expect(await countLanded({ s })).toBe(0);
  expect(await force({ s }, tokenOf(runs.live), WRITES, WRITES.length)).toBe(WRITES.length);
  expect(await countLanded({ s })).toBe(WRITES.length - 1);
});

test('a checkpoint that is written and one that is stored are phases of the worker whose they are', async () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'moraine-phase-'));
  const partOf = (name: string) => ({ name }) as Part;
  const workers = [partOf('worker-1'), partOf('worker-2')];
  const stack = { s, blobsDir: path.join(dir, 'blobs'), workers, workDirOf: ({ name }: Part) => path.join(dir, name) };
  const about = { ids: [], atStep: 0, timeoutMs: 50, areOver: async () => false };
  const nameIn = async (phase: Phase) => (await untilPhase(stack, phase, about))?.name;
  const checkpoints = path.join(dir, 'worker-2', '12-345', 'ftjob-1-1', 'checkpoints');
  mkdirSync(path.join(checkpoints, '.tmp-16'), { recursive: true });
  mkdirSync(path.join(stack.blobsDir, '.incoming'), { recursive: true });
  expect([await nameIn('checkpoint'), await nameIn('upload')]).toEqual(['worker-2', undefined]);
  renameSync(path.join(checkpoints, '.tmp-16'), path.join(checkpoints, 'step-16'));
  expect([await nameIn('checkpoint'), await nameIn('upload')]).toEqual([undefined, undefined]);
  writeFileSync(path.join(stack.blobsDir, '.incoming', 'x'), '');
  expect([await nameIn('checkpoint'), await nameIn('upload')]).toEqual([undefined, 'worker-2']);
  rmSync(dir, { recursive: true });
});

test('a clock is put on and back for a process that was started with it, and for no other', () => {
  const dir = mkdtempSync(path.join(tmpdir(), 'moraine-clock-'));
  const fake = openFakeTime(dir);
  if (!fake) return console.log('left out: libfaketime is missing');
  const offBy = (name: string) => {
    const env = ownEnv(fake.env(name));
    const { stdout } = spawnSync(process.execPath, ['-p', 'Date.now()'], { env, encoding: 'utf8' });
    return Math.abs(Number(stdout) - Date.now()) < 10_000 ? 0 : Math.round((Number(stdout) - Date.now()) / 10_000);
  };
  fake.set('one', 300_000);
  expect([offBy('one'), offBy('two')]).toEqual([30, 0]);
  fake.set('one', -300_000);
  expect(offBy('one')).toBe(-30);
  fake.close();
  rmSync(dir, { recursive: true });
});

test('the long form kills each part in each phase, the short form each once', () => {
  const parts = ['a worker', 'a training child', 'the API', 'Redis', 'Postgres', 'everything'];
  const killed = (isShort: boolean) =>
    planOf({ isShort, only: 'kill -9 of', phase: undefined }, () => 0).map(
      ({ fault, phase }) => `${fault.name} ${phase}`,
    );
  const all = parts.flatMap((part) => PHASES.map((phase) => `kill -9 of ${part} ${phase}`));
  expect(killed(false)).toEqual(all);
  expect(killed(true)).toEqual(parts.map((part) => `kill -9 of ${part} claim`));
});

test('one phase alone can be asked for', () => {
  const plan = planOf({ isShort: false, only: 'Redis', phase: 'upload' }, () => 0);
  expect(plan.map(({ phase }) => phase)).toEqual(Array.from({ length: 5 }, () => 'upload'));
});

test('real training is struck in the long form alone, and by every fault that is named for it', () => {
  expect(realPlanOf({ isShort: true, only: undefined, phase: undefined })).toEqual([]);
  expect(realPlanOf({ isShort: false, only: undefined, phase: undefined })).toHaveLength(WITH_REAL.length);
});

test('each fault has a name of its own', () => {
  expect(new Set(FAULTS.map(({ name }) => name)).size).toBe(FAULTS.length);
});
