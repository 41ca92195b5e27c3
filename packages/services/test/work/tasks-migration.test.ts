import { cp, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type TestDatabase, testDatabase } from '@moraine/testing';
import pg from 'pg';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Actor,
  claimRun,
  getRun,
  listCheckpoints,
  listEvents,
  listLogs,
  listModels,
  listRuns,
  migrate,
  openServices,
  openWakeConsumer,
  readMetrics,
  type Services,
  startAttempt,
} from '../../src/index.js';
import { expireLeases, markLostContact } from '../../src/reconcile/leases.js';
import { config, seedWorker } from '../seed-run.js';

const MIGRATIONS = fileURLToPath(new URL('../../../../prisma/migrations', import.meta.url));
/** What a data folder of the build before tasks has. */
const OLD = ['20261122130000_init', '20261122131000_log_line_numbers'];
const actor: Actor = { projectId: 'proj-1', keyId: null };
const [done, waiting, interrupted] = ['ftjob-aaaaaaaaaaaaaaaa', 'ftjob-bbbbbbbbbbbbbbbb', 'ftjob-cccccccccccccccc'];
const model = 'ft:tiny:default::aaaaaaaa';

/** Rows as the build before wrote them: a run that succeeded, one that waits, and one whose worker died at step 25. */
const ROWS = `
  INSERT INTO projects (id, name) VALUES ('proj-1', 'default');
  INSERT INTO bases (id, project_id, name, blob_prefix, sha256, size_bytes, config, parameters, context)
    VALUES ('base-1', 'proj-1', 'tiny', 'bases/base-1', 'b', 2, '{}', 1, 64);
  INSERT INTO files (id, project_id, filename, purpose, size_bytes, sha256, blob_key, status)
    VALUES ('file-1', 'proj-1', 'train.jsonl', 'fine-tune', 1, 'f', 'files/file-1', 'processed'),
      ('file-2', 'proj-1', 'step_metrics.csv', 'fine-tune-results', 1, 'r', 'runs/x/step_metrics.csv', 'processed');
  INSERT INTO workers (id, name, pool, status, host, pid, version, device, cores, memory_bytes)
    VALUES ('wrk-old', 'worker-1', 'default', 'lost', 'here', 1, '0.1.0', '{"kind":"cpu","name":"cpu","tensorflow":"2"}', 1, 1);
  INSERT INTO runs (id, project_id, base_id, status, state, state_reason, pool, priority, max_attempts, attempt, suffix, metadata, request,
      request_hash, config, seed, steps, step, trained_tokens, tokens_per_second, train_loss, training_file_id, result_file_id,
      fine_tuned_model, created_at, queued_at, started_at, finished_at)
    VALUES
      ('${done}', 'proj-1', 'base-1', 'succeeded', NULL, NULL, 'default', 50, 10, 2, NULL, '{"team":"a"}', '{}', 'h1', CONFIG, 1, 100000,
        100000, 4000, NULL, 1.25, 'file-1', 'file-2', '${model}', '2026-11-25T10:00:00Z', '2026-11-25T10:00:30Z', '2026-11-25T10:00:05Z',
        '2026-11-25T10:01:00Z'),
      ('${waiting}', 'proj-1', 'base-1', 'queued', NULL, NULL, 'default', 70, 10, 0, 'v2--', '{}', '{"suffix":"v2 Ü"}', 'h2', CONFIG, 1, 100000,
        0, 0, NULL, NULL, 'file-1', NULL, NULL, '2026-11-25T11:00:00Z', '2026-11-25T11:00:00Z', NULL, NULL),
      ('${interrupted}', 'proj-1', 'base-1', 'running', NULL, NULL, 'default', 50, 10, 1, NULL, '{}', '{}', 'h3', CONFIG, 1, 100000,
        25, 1000, 50, 2, 'file-1', NULL, NULL, '2026-11-25T12:00:00Z', '2026-11-25T12:00:00Z', '2026-11-25T12:00:05Z', NULL);
  INSERT INTO attempts (run_id, attempt, project_id, worker_id, status, start_step, lease_expires_at, started_at, finished_at, cause, message)
    VALUES
      ('${done}', 1, 'proj-1', 'wrk-old', 'failed', 0, now(), '2026-11-25T10:00:05Z', '2026-11-25T10:00:20Z', 'hardware', 'Killed.'),
      ('${done}', 2, 'proj-1', 'wrk-old', 'finished', 50, now(), '2026-11-25T10:00:35Z', '2026-11-25T10:01:00Z', NULL, NULL),
      ('${interrupted}', 1, 'proj-1', 'wrk-old', 'running', 0, now() - interval '1 hour', '2026-11-25T12:00:05Z', NULL, NULL, NULL);
  INSERT INTO events (id, project_id, run_id, attempt, level, type, message, data, created_at)
    VALUES ('ftevent-1', 'proj-1', '${done}', 0, 'info', 'message', 'Created fine-tuning job: ${done}', '{}', '2026-11-25T10:00:00Z'),
      ('ftevent-2', 'proj-1', '${done}', 2, 'info', 'message', 'The run succeeded; new model ${model}', '{"step":100000}', '2026-11-25T10:01:00Z');
  INSERT INTO log_lines (run_id, project_id, attempt, line, at, level, message)
    VALUES ('${done}', 'proj-1', 1, 1, '2026-11-25T10:00:06Z', 'info', 'first'), ('${done}', 'proj-1', 2, 1, '2026-11-25T10:00:36Z', 'info', 'second');
  INSERT INTO metric_series (id, project_id, run_id, name) VALUES (1, 'proj-1', '${done}', 'train_loss'), (2, 'proj-1', '${interrupted}', 'train_loss');
  INSERT INTO metric_points (series_id, step, value) SELECT 1, n, 1.0 / n FROM generate_series(1, 40) n;
  INSERT INTO metric_points (series_id, step, value) SELECT 2, n, 1.0 / n FROM generate_series(1, 25) n;
  INSERT INTO metric_rollups (series_id, bucket, n, sum, min, max, first_step, first, last_step, last)
    SELECT series_id, 0, count(*), sum(value), min(value), max(value), 1, 1, max(step), min(value) FROM metric_points GROUP BY series_id;
  INSERT INTO checkpoints (id, project_id, run_id, attempt, step, blob_key, size_bytes, sha256, metrics, created_at)
    VALUES ('ftckpt-1', 'proj-1', '${done}', 2, 60, 'runs/${done}/attempts/2/checkpoints/step-60', 9, 'c1', '{"train_loss":0.5}', '2026-11-25T10:00:50Z'),
      ('ftckpt-2', 'proj-1', '${interrupted}', 1, 20, 'runs/${interrupted}/attempts/1/checkpoints/step-20', 9, 'c2', '{}', '2026-11-25T12:00:50Z');
  INSERT INTO adapters (id, project_id, run_id, attempt, kind, blob_key, size_bytes, sha256)
    VALUES ('adapter-1', 'proj-1', '${done}', 2, 'adapter', 'runs/${done}/attempts/2/exports/adapter', 9, 'a');
`;

let database: TestDatabase;
let s: Services;

beforeAll(async () => {
  database = await testDatabase();
  const dir = await mkdtemp(join(tmpdir(), 'moraine-old-'));
  for (const name of OLD) await cp(join(MIGRATIONS, name), join(dir, name), { recursive: true });
  expect(await migrate(database.databaseUrl, dir)).toEqual(OLD);
  const client = new pg.Client({ connectionString: database.databaseUrl });
  await client.connect();
  await client.query(ROWS.replaceAll('CONFIG', `'${JSON.stringify(config)}'`));
  await client.end();
  expect(await migrate(database.databaseUrl)).toContain('20261128120000_tasks');
  s = await openServices({ ...database, log: pino({ level: 'silent' }) });
  await rm(dir, { recursive: true });
});
afterAll(async () => {
  await s.close();
  await database.close();
});

test('runs of a data folder from before are listed as they were, newest first', async () => {
  const { data } = await listRuns(s, actor, { limit: 10 });
  expect(data.map(({ id, status }) => [id, status])).toEqual([
    [interrupted, 'running'],
    [waiting, 'queued'],
    [done, 'succeeded'],
  ]);
  // A name is what was written, not what a model's name can hold of it.
  expect((await getRun(s, actor, waiting)).suffix).toBe('v2 Ü');
  const at = (time: string) => Date.parse(`2026-11-25T${time}Z`) / 1_000;
  const old = { worker_id: 'wrk-old' };
  expect(await getRun(s, actor, done)).toMatchObject({
    created_at: at('10:00:00'),
    started_at: at('10:00:05'),
    finished_at: at('10:01:00'),
    model: 'tiny',
    fine_tuned_model: model,
    status: 'succeeded',
    state: null,
    error: null,
    metadata: { team: 'a' },
    result_files: ['file-2'],
    trained_tokens: 4000,
    pool: 'default',
    priority: 50,
    exports: ['adapter'],
    config,
    progress: { step: 100_000, steps: 100_000, train_loss: 1.25 },
    attempts: [
      {
        ...old,
        attempt: 1,
        status: 'failed',
        start_step: 0,
        started_at: at('10:00:05'),
        finished_at: at('10:00:20'),
        cause: 'hardware',
        message: 'Killed.',
      },
      { ...old, attempt: 2, status: 'finished', start_step: 50, cause: null, message: null },
    ],
  });
  expect((await listRuns(s, actor, { limit: 10, metadata: { team: 'a' }, status: 'succeeded' })).data).toHaveLength(1);
});

test('events, log lines, metrics, checkpoints and models of before are read as they were', async () => {
  const events = await listEvents(s, actor, done, { limit: 10 });
  expect(events.data.map(({ id, message }) => [id, message])).toEqual([
    ['ftevent-2', `The run succeeded; new model ${model}`],
    ['ftevent-1', `Created fine-tuning job: ${done}`],
  ]);
  const { data: lines } = await listLogs(s, actor, done, { after: 0, limit: 10 });
  expect(lines.map(({ attempt, message }) => [attempt, message])).toEqual([
    [1, 'first'],
    [2, 'second'],
  ]);
  const { series } = await readMetrics(s, actor, done, { buckets: 100 });
  expect(series).toMatchObject([{ name: 'train_loss' }]);
  expect(series[0]?.points).toHaveLength(40);
  const { data: checkpoints } = await listCheckpoints(s, actor, done, { limit: 10 });
  expect(checkpoints).toMatchObject([{ id: 'ftckpt-1', step_number: 60, metrics: { train_loss: 0.5 }, sha256: 'c1' }]);
  expect((await listModels(s, actor)).data).toMatchObject([{ id: 'tiny' }, { id: model, run_id: done }]);
});

test('a wake-up of the build before still wakes a worker, and the queued run is claimed', async () => {
  const queue = s.queues.of('default');
  await queue.add('wake', { runId: waiting, submission: 1 } as never, { jobId: `${waiting}-1`, priority: 31 });
  const consumer = openWakeConsumer(s, 'default');
  const wakeUp = await consumer.next(5_000);
  expect(wakeUp).not.toBeNull();
  const claim = await claimRun(s, { workerId: await seedWorker(s), pool: 'default' });
  expect(claim?.token).toMatchObject({ taskId: waiting, attempt: 1 });
  expect(claim?.job).toMatchObject({ config, base: { blobPrefix: 'bases/base-1' }, checkpoints: [] });
  await wakeUp?.finish();
  await consumer.close();
});

test('an interrupted run loses its lease, and its second attempt goes on from the checkpoint that was stored before', async () => {
  expect(await markLostContact(s)).toBe(1);
  expect(await expireLeases(s)).toBe(1);
  const run = await getRun(s, actor, interrupted);
  expect(run).toMatchObject({ status: 'queued', attempts: [{ attempt: 1, status: 'lost', cause: 'lost_worker' }] });
  expect(run.state_reason?.message).toContain('reached step 25');
  const claim = await claimRun(s, { workerId: await seedWorker(s), pool: 'default' });
  if (claim?.kind !== 'train') throw new Error('nothing to claim');
  expect(claim.token).toMatchObject({ taskId: interrupted, attempt: 2 });
  expect(claim.job.checkpoints).toEqual([
    {
      step: 20,
      blobKey: `runs/${interrupted}/attempts/1/checkpoints/step-20`,
      sizeBytes: 9,
      sha256: 'c2',
      bestStep: null,
    },
  ]);
  await startAttempt(s, claim.token, { startStep: 20 });
  const { series } = await readMetrics(s, actor, interrupted, { buckets: 100 });
  expect(series[0]?.points).toHaveLength(20);
  expect(await getRun(s, actor, interrupted)).toMatchObject({
    progress: { step: 20 },
    attempts: [{}, { start_step: 20 }],
  });
});
