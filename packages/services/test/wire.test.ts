// What Postgres makes JSON of must be on the wire as it always was. The expected bodies are those of the verbs that read column by column
// through Prisma and node-postgres (commit 7a97cf2), for rows with what is easily lost on the way: milliseconds, values that are no numbers,
// quotes and emoji, whole numbers above 2^31, exponents.
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Actor,
  getRun,
  listCheckpoints,
  listEvents,
  listFiles,
  listModels,
  listRuns,
  readMetrics,
  type Services,
  searchRuns,
} from '../src/index.js';
import { config, seedProject } from './seed-run.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
const ID = 'ftjob-abcdefghijklmnop12345678';
const AT = Date.UTC(2026, 0, 2, 3, 4, 5, 999);
const at = (seconds: number): Date => new Date(AT + seconds * 1_000);
const S = Math.floor(AT / 1_000);
const TEXT = 'He said: "60 % of it is 🪨", \\ and\nthat was it.';

let actor: Actor;
let ids: Awaited<ReturnType<typeof seedProject>>;
beforeAll(async () => {
  ids = await seedProject(s);
  const { projectId } = ids;
  actor = { projectId, keyId: null };
  const worker = { host: 'here', pid: 1, version: '1', device: {}, cores: 1, memoryBytes: 1n };
  await s.db.worker.create({ data: { id: 'wrk_one', name: 'one', pool: 'other', status: 'ready', ...worker } });
  await s.db.task.create({
    data: {
      ...{ id: ID, kind: 'train', projectId, pool: 'night', priority: 7, status: 'failed', attempt: 2 },
      ...{ errorCode: 'user_data', errorMessage: TEXT, errorParam: 'training_file' },
      ...{ createdAt: at(0), queuedAt: at(1), startedAt: at(2), finishedAt: at(9) },
      stateReason: { code: 'user_data', message: TEXT, since: S },
    },
  });
  const stored = { ...config, optimizer: { ...config.optimizer, learning_rate: 1e-7 }, trainable_parameters: 2 ** 40 };
  const { packing: _packing, ...old } = stored;
  await s.db.run.create({
    data: {
      ...{ id: ID, projectId, baseId: ids.baseId, trainingFileId: ids.fileId, suffix: 'a "name"', seed: 2 ** 31 - 1 },
      ...{ metadata: { name: TEXT, 'ключ 🔑': '1' }, request: {}, requestHash: 'x', config: old, steps: 10, step: 4 },
      ...{ trainedTokens: 2n ** 40n, tokensPerSecond: 1234.5678, trainLoss: Number.NaN },
    },
  });
  const attempt = { projectId, taskId: ID, workerId: 'wrk_one', leaseExpiresAt: at(3) };
  await s.db.attempt.createMany({
    data: [
      {
        ...attempt,
        attempt: 1,
        status: 'lost',
        startedAt: at(2),
        finishedAt: at(4),
        cause: 'lost_worker',
        message: TEXT,
      },
      { ...attempt, attempt: 2, status: 'failed', startStep: 3, startedAt: at(5), finishedAt: at(9) },
    ],
  });
  await s.db.adapter.create({
    data: { id: 'a', projectId, runId: ID, attempt: 1, kind: 'adapter', sizeBytes: 2n ** 40n, blobKey: 'x' },
  });
  for (const [n, step] of [2, 4].entries())
    await s.db.checkpoint.create({
      data: {
        ...{ id: `ftckpt_${n}`, projectId, runId: ID, attempt: 1, step, blobKey: 'x', sha256: 'y', bestStep: 2 },
        ...{ sizeBytes: 2n ** 40n, metrics: { train_loss: 1e-7 }, createdAt: at(n) },
      },
    });
  for (const [n, message] of [TEXT, 'second'].entries())
    await s.db.event.create({
      data: {
        ...{ id: `ftevent-${n}`, projectId, taskId: ID, attempt: 1, level: 'info', type: 'message', message },
        ...{ data: { n: 1e-7 }, createdAt: at(n) },
      },
    });
  const series = await s.db.metricSeries.create({ data: { projectId, runId: ID, name: 'train_loss' } });
  const values = [1e-7, Number.NaN, 12345678.875];
  await s.db.metricPoint.createMany({ data: values.map((value, n) => ({ seriesId: series.id, step: n + 1, value })) });
});

/** Without what a run has alone, and a list has not. */
const RUN = () => ({
  ...{ id: ID, object: 'fine_tuning.job', created_at: S, started_at: S + 2, finished_at: S + 9, model: 'tiny' },
  ...{ fine_tuned_model: null, organization_id: ids.projectId, status: 'failed' },
  hyperparameters: { n_epochs: 1, batch_size: 8, learning_rate_multiplier: 1 },
  ...{ training_file: ids.fileId, validation_file: null, result_files: [], trained_tokens: 2 ** 40 },
  error: { code: 'user_data', message: TEXT, param: 'training_file' },
  ...{ seed: 2 ** 31 - 1, estimated_finish: null, integrations: [] },
  method: {
    type: 'supervised',
    supervised: { hyperparameters: { n_epochs: 1, batch_size: 8, learning_rate_multiplier: 1 } },
  },
  ...{ metadata: { name: TEXT, 'ключ 🔑': '1' }, suffix: 'a "name"', state: null, verdict: null },
  state_reason: { code: 'user_data', message: TEXT, since: S },
  config: {
    ...config,
    optimizer: { ...config.optimizer, learning_rate: 1e-7 },
    trainable_parameters: 2 ** 40,
  },
  progress: {
    ...{ step: 4, steps: 10, trained_tokens: 2 ** 40, tokens_per_second: 1234.5678, train_loss: null },
    ...{ seconds_remaining: null, seconds_remaining_range: null },
  },
  attempts: [
    {
      ...{ attempt: 1, status: 'lost', worker_id: 'wrk_one', started_at: S + 2, finished_at: S + 4, start_step: 0 },
      ...{ cause: 'lost_worker', message: TEXT },
    },
    {
      ...{ attempt: 2, status: 'failed', worker_id: 'wrk_one', started_at: S + 5, finished_at: S + 9, start_step: 3 },
      ...{ cause: null, message: null },
    },
  ],
  ...{ pool: 'night', priority: 7, exports: ['adapter'], resume_check: null, result_step: null },
  downloads: [
    {
      ...{ format: 'native', bytes: 2 ** 40, stored: true, parity: null, rounding: null, notes: [], problem: null },
    },
  ],
});

/** As it is on the wire. */
const wire = (body: unknown): unknown => JSON.parse(JSON.stringify(body));

test('a run, and a page of runs, with everything that a row can hold', async () => {
  expect(wire(await getRun(s, actor, ID))).toEqual({ ...RUN(), advice: [] });
  const page = { object: 'list', has_more: false, first_id: ID, last_id: ID };
  const { config: _config, ...listed } = RUN();
  expect(wire(await listRuns(s, actor, { limit: 20 }))).toEqual({ ...page, data: [listed] });
  expect(wire(await searchRuns(s, actor, { limit: 20, sort: '-created', count: true }))).toMatchObject({
    ...page,
    ...{ total_count: 1 },
    data: [
      {
        ...{ id: ID, name: 'a "name"', created_at: S, started_at: S + 2, finished_at: S + 9, model: 'tiny' },
        ...{ status: 'failed', verdict: null, trainable_parameters: 2 ** 40, learning_rate: 1e-7 },
        progress: { step: 4, trained_tokens: 2 ** 40, tokens_per_second: 1234.5678, train_loss: null },
      },
    ],
  });
});

test('the events, checkpoints and points of a run', async () => {
  const event = { object: 'fine_tuning.job.event', level: 'info', type: 'message', data: { n: 1e-7 } };
  const events = [
    { ...event, id: 'ftevent-1', created_at: S + 1, message: 'second' },
    { ...event, id: 'ftevent-0', created_at: S, message: TEXT },
  ];
  expect((await listEvents(s, actor, ID, { limit: 5 })).data).toEqual(events);
  expect((await listEvents(s, actor, ID, { limit: 5, after: 'ftevent-1' })).data).toEqual(events.slice(1));
  expect((await listEvents(s, actor, ID, { limit: 5, after: 'ftevent-0' })).data).toEqual([]);
  await expect(listEvents(s, actor, ID, { limit: 5, after: 'ftevent-9' })).rejects.toMatchObject({ param: 'after' });

  const name = (step: number) => `ft:tiny:${ids.projectId}:a--name-:12345678:ckpt-step-${step}`;
  const checkpoint = (n: number, step: number) => ({
    ...{ id: `ftckpt_${n}`, object: 'fine_tuning.job.checkpoint', created_at: S + n, step_number: step },
    ...{ fine_tuned_model_checkpoint: name(step), fine_tuning_job_id: ID, metrics: { step, train_loss: 1e-7 } },
    ...{ bytes: 2 ** 40, sha256: 'y', is_best: step === 2 },
  });
  const checkpoints = [checkpoint(1, 4), checkpoint(0, 2)];
  const list = async (after?: string) => (await listCheckpoints(s, actor, ID, { limit: 5, after })).data;
  expect(await list()).toEqual(checkpoints);
  expect(await list('ftckpt_1')).toEqual(checkpoints.slice(1));
  expect(await list('ftckpt_0')).toEqual([]);
  await expect(list('ftckpt_9')).rejects.toMatchObject({ param: 'after' });

  const point = (step: number, value: number) => ({ step, n: 1, mean: value, min: value, max: value, last: value });
  expect((await readMetrics(s, actor, ID, { buckets: 100 })).series).toEqual([
    {
      ...{ name: 'train_loss', every: 1, points: [point(1, 1e-7), point(3, 12345678.875)] },
      not_finite: [{ step: 2, value: 'NaN' }],
    },
  ]);
});

test('models of each kind in their order, and files', async () => {
  const { projectId, baseId, fileId } = ids;
  const base = {
    projectId,
    blobPrefix: 'x',
    sha256: 'z',
    sizeBytes: 1n,
    config: {},
    parameters: 2n ** 40n,
    context: 64,
  };
  await s.db.base.create({
    data: { ...base, id: 'b2', name: 'large', source: 'hf:a/b@c', commit: 'd', createdAt: at(0) },
  });
  const download = { projectId, source: 'hf:a/b@c', createdAt: at(0) };
  await s.db.baseDownload.createMany({
    data: [
      { ...download, id: 'd1', name: 'coming', bytes: 2n ** 40n, bytesTotal: 2n ** 41n, waiting: TEXT },
      { ...download, id: 'd2', name: 'broken', status: 'error', error: { code: 'not_found', message: TEXT } },
      { ...download, id: 'd3', name: 'large' },
    ],
  });
  await s.db.uploadedAdapter.create({
    data: {
      id: 'u',
      projectId,
      baseId,
      name: 'mine',
      blobPrefix: 'x',
      sha256: 'y',
      sizeBytes: 1n,
      config: {},
      createdAt: at(3),
    },
  });
  const done = (id: string, seconds: number) => ({
    id,
    kind: 'train',
    projectId,
    status: 'succeeded',
    createdAt: at(seconds),
    finishedAt: at(seconds + 10),
  });
  await s.db.task.createMany({ data: [done('ftjob-1', 1), done('ftjob-2', 2)] });
  const run = {
    projectId,
    baseId,
    trainingFileId: fileId,
    seed: 1,
    request: {},
    requestHash: 'x',
    config: {},
    steps: 1,
  };
  for (const n of [1, 2]) await s.db.run.create({ data: { ...run, id: `ftjob-${n}`, fineTunedModel: `ft:tiny:${n}` } });
  const model = {
    ...{ object: 'model', owned_by: projectId, kind: 'base', parent: null, run_id: null, parameters: 1, context: 64 },
    ...{ status: 'ready', source: null, commit: null, download: null, error: null },
  };
  const coming = { ...model, created: S, parameters: null, context: null, source: 'hf:a/b@c' };
  const tuned = { ...model, kind: 'fine_tuned', parent: 'tiny' };
  expect((await listModels(s, actor)).data).toEqual([
    { ...model, id: 'large', created: S, parameters: 2 ** 40, source: 'hf:a/b@c', commit: 'd' },
    { ...model, id: 'tiny', created: expect.any(Number) },
    {
      ...{ ...coming, id: 'broken', status: 'error', download: { bytes: 0, bytes_total: null, waiting: null } },
      error: { code: 'not_found', message: TEXT },
    },
    {
      ...coming,
      id: 'coming',
      status: 'processing',
      download: { bytes: 2 ** 40, bytes_total: 2 ** 41, waiting: TEXT },
    },
    { ...model, id: 'mine', created: S + 3, kind: 'adapter', parent: 'tiny' },
    { ...tuned, id: 'ft:tiny:2', created: S + 12, run_id: 'ftjob-2' },
    { ...tuned, id: 'ft:tiny:1', created: S + 11, run_id: 'ftjob-1' },
  ]);

  await s.db.file.update({
    where: { id: fileId },
    data: {
      sizeBytes: 2n ** 40n,
      createdAt: at(0),
      expiresAt: new Date(AT + 10 ** 12),
      filename: TEXT,
      problems: [{ line: 1 }],
    },
  });
  expect((await listFiles(s, actor, { limit: 5, order: 'desc' })).data).toEqual([
    {
      ...{
        id: fileId,
        object: 'file',
        bytes: 2 ** 40,
        created_at: S,
        filename: TEXT,
        purpose: 'fine-tune',
        status: 'processed',
      },
      ...{
        status_details: null,
        expires_at: Math.floor((AT + 10 ** 12) / 1_000),
        sha256: '0',
        format: null,
        rows: null,
      },
      problems: [{ line: 1 }],
    },
  ]);
});
