import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  cancelRun,
  createBaseFromDir,
  createRun,
  deleteFile,
  getFile,
  getModel,
  getRun,
  listCheckpoints,
  listEvaluations,
  listEvents,
  listFiles,
  listModels,
  listRuns,
  openAdapter,
  openFile,
  type Services,
} from '../src/index.js';
import { moveTask } from '../src/work/move-task.js';
import { seedWorker } from './seed-run.js';
import { defaultActor, goodRows, otherActor, tinyFiles, uploadRows, writeFolder } from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let trainingFile: string;
beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  trainingFile = (await uploadRows(s, actor, goodRows(64))).id;
});

const create = (body: Record<string, unknown> = {}) =>
  createRun(s, actor, { model: 'tiny', training_file: trainingFile, ...body });

/** A run that a worker has, as rows. */
async function running(body: Record<string, unknown> = {}) {
  const run = await create(body);
  await s.db.task.update({
    where: { id: run.id },
    data: { status: 'running', attempt: 1, startedAt: new Date() },
  });
  const pace = { attempt: 1, firstStep: 1, firstAt: 0, step: 6, at: 10_000, recentSteps: 5, recentMs: 10_000 };
  await s.db.run.update({ where: { id: run.id }, data: { step: 6, trainedTokens: 600, tokensPerSecond: 50, pace } });
  return run.id;
}

describe('another project', () => {
  test('sees none of our files, runs and models, whichever verb it tries', async () => {
    const stranger = await otherActor(s);
    const run = await create();
    const done = await running();
    await moveTask(s.pg, done, 'succeeded');
    await s.db.run.update({ where: { id: done }, data: { fineTunedModel: `ft:tiny:default::${done.slice(-8)}` } });
    const notFound = { code: 'not_found', status: 404 };
    await expect(getFile(s, stranger, trainingFile)).rejects.toMatchObject(notFound);
    await expect(openFile(s, stranger, trainingFile)).rejects.toMatchObject(notFound);
    await expect(deleteFile(s, stranger, trainingFile)).rejects.toMatchObject(notFound);
    await expect(getRun(s, stranger, run.id)).rejects.toMatchObject(notFound);
    await expect(cancelRun(s, stranger, run.id)).rejects.toMatchObject(notFound);
    await expect(listEvents(s, stranger, run.id, { limit: 10 })).rejects.toMatchObject(notFound);
    await expect(listCheckpoints(s, stranger, run.id, { limit: 10 })).rejects.toMatchObject(notFound);
    await expect(listEvaluations(s, stranger, run.id)).rejects.toMatchObject(notFound);
    await expect(
      openAdapter(s, stranger, done, { format: 'native', lambda: 1 }, () => Promise.reject(new Error('not made'))),
    ).rejects.toMatchObject(notFound);
    await expect(getModel(s, stranger, 'tiny')).rejects.toMatchObject(notFound);
    await expect(getModel(s, stranger, `ft:tiny:default::${done.slice(-8)}`)).rejects.toMatchObject(notFound);
    await expect(createRun(s, stranger, { model: 'tiny', training_file: trainingFile })).rejects.toMatchObject(
      notFound,
    );
    expect((await listFiles(s, stranger, { limit: 10, order: 'desc' })).data).toEqual([]);
    expect((await listRuns(s, stranger, { limit: 10 })).data).toEqual([]);
    expect((await listModels(s, stranger)).data).toEqual([]);
    await expect(listRuns(s, stranger, { limit: 10, after: run.id })).rejects.toMatchObject({ code: 'invalid_value' });
    expect((await getRun(s, actor, run.id)).status).toBe('queued');
  });
});

describe('cancelling', () => {
  test('of twenty cancels of a queued run one wins and the others are told that it has been', async () => {
    const run = await create();
    const tries = await Promise.allSettled(Array.from({ length: 20 }, () => cancelRun(s, actor, run.id)));
    const won = tries.filter((one) => one.status === 'fulfilled');
    expect(won).toHaveLength(1);
    expect(won[0]?.value).toMatchObject({
      status: 'cancelled',
      finished_at: expect.any(Number),
      state: null,
      state_reason: null,
    });
    for (const one of tries)
      if (one.status === 'rejected')
        expect(one.reason).toMatchObject({ code: 'conflict', status: 409, retryable: false });
    const events = await listEvents(s, actor, run.id, { limit: 10 });
    expect(events.data.map((event) => event.message)).toEqual([
      'The run was cancelled',
      `Created fine-tuning job: ${run.id}`,
    ]);
  });

  test('a running run is asked to stop once, by twenty cancels too, and stays running until its worker answers', async () => {
    const id = await running();
    const runs = await Promise.all(Array.from({ length: 20 }, () => cancelRun(s, actor, id)));
    for (const run of runs)
      expect(run).toMatchObject({
        status: 'running',
        state: 'cancelling',
        state_reason: { code: 'cancel_requested' },
        finished_at: null,
      });
    const events = await listEvents(s, actor, id, { limit: 10 });
    expect(events.data.filter((event) => event.message === 'Cancellation requested')).toHaveLength(1);
  });

  test('a run that has ended is a conflict', async () => {
    const id = await running();
    await moveTask(s.pg, id, 'succeeded');
    await expect(cancelRun(s, actor, id)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('succeeded'),
    });
  });
});

describe('transitions', () => {
  test('of a success and a failure at once one wins, and the end never changes', async () => {
    for (let i = 0; i < 5; i++) {
      const id = await running();
      const moved = await Promise.all([
        moveTask(s.pg, id, 'succeeded'),
        moveTask(s.pg, id, 'failed', { error_code: 'internal', error_message: 'x' }),
        moveTask(s.pg, id, 'cancelled'),
      ]);
      expect(moved.filter((one) => one !== null)).toHaveLength(1);
      const { status, finished_at } = await getRun(s, actor, id);
      for (const to of ['queued', 'running', 'failed', 'succeeded', 'cancelled'] as const)
        expect(await moveTask(s.pg, id, to)).toBeNull();
      expect(await getRun(s, actor, id)).toMatchObject({ status, finished_at });
    }
  });

  test('a status cannot be skipped, and a mover that expects another status moves nothing', async () => {
    const { id } = await create();
    expect(await moveTask(s.pg, id, 'succeeded')).toBeNull();
    expect(await moveTask(s.pg, id, 'cancelled', {}, ['running'])).toBeNull();
    expect((await getRun(s, actor, id)).status).toBe('queued');
  });
});

describe('why a queued run waits', () => {
  test('no worker: how to start one', async () => {
    const run = await create({ pool: 'gpu' });
    expect(run.state_reason).toMatchObject({
      code: 'no_worker',
      message: expect.stringContaining('MORAINE_POOL=gpu npm start'),
      since: expect.any(Number),
    });
  });

  test('busy workers: how many, and how many runs are ahead', async () => {
    for (const name of ['one', 'two'])
      await s.db.worker.update({ where: { id: await seedWorker(s, 'busy', name) }, data: { status: 'busy' } });
    const first = await create({ pool: 'busy' });
    const second = await create({ pool: 'busy' });
    const urgent = await create({ pool: 'busy', priority: 90 });
    const reason = async (id: string) => (await getRun(s, actor, id)).state_reason;
    expect(await reason(urgent.id)).toMatchObject({
      code: 'no_free_worker',
      message: "2 workers of pool 'busy' are busy; it is next.",
    });
    expect(await reason(first.id)).toMatchObject({ message: "2 workers of pool 'busy' are busy; 1 task is ahead." });
    expect(await reason(second.id)).toMatchObject({ message: "2 workers of pool 'busy' are busy; 2 tasks are ahead." });
    await s.db.worker.updateMany({ where: { pool: 'busy' }, data: { heartbeatAt: new Date(Date.now() - 21_000) } });
    expect(await reason(first.id)).toMatchObject({ code: 'no_worker' });
  });

  test('a worker that cannot train: its own words', async () => {
    const id = await seedWorker(s, 'sick');
    await s.db.worker.update({
      where: { id },
      data: { status: 'unhealthy', statusReason: 'TensorFlow is not installed.' },
    });
    expect((await create({ pool: 'sick' })).state_reason).toMatchObject({
      code: 'unhealthy_worker',
      message: expect.stringContaining('TensorFlow is not installed.'),
    });
  });

  test('after an attempt: from where it goes on', async () => {
    const run = await create({ pool: 'again' });
    await s.db.task.update({ where: { id: run.id }, data: { attempt: 1 } });
    await s.db.run.update({ where: { id: run.id }, data: { step: 20 } });
    expect((await getRun(s, actor, run.id)).state_reason?.message).toContain(
      'goes on after attempt 1, which reached step 20',
    );
  });
});

test('a running run says how long it will take: steps left at its pace', async () => {
  const id = await running({ max_steps: 24 });
  const run = await getRun(s, actor, id);
  // 5 steps took 10 s after the first; 18 steps are left.
  expect(run.progress).toMatchObject({ step: 6, steps: 24, seconds_remaining: 36 });
  expect(run.progress.seconds_remaining_range?.map((seconds) => Math.round(seconds * 10) / 10)).toEqual([32.4, 39.6]);
  expect((run.estimated_finish ?? 0) - Date.now() / 1_000).toBeCloseTo(36, -1);
  expect(run.trained_tokens).toBeNull();
});

test('pages hold every run once, newest first; metadata and status filter', async () => {
  const made: string[] = [];
  for (let i = 0; i < 5; i++) made.push((await create({ metadata: { sweep: 'x', i: String(i) }, pool: 'pages' })).id);
  const seen: string[] = [];
  let after: string | undefined;
  do {
    const page = await listRuns(s, actor, { limit: 2, after, metadata: { sweep: 'x' } });
    expect(page.data.length).toBeLessThanOrEqual(2);
    seen.push(...page.data.map((run) => run.id));
    after = page.has_more ? (page.last_id ?? undefined) : undefined;
  } while (after);
  expect(seen).toEqual(made.toReversed());
  expect((await listRuns(s, actor, { limit: 10, metadata: { sweep: 'x', i: '3' } })).data.map((run) => run.id)).toEqual(
    [made[3]],
  );
  await cancelRun(s, actor, made[1] ?? '');
  expect(
    (await listRuns(s, actor, { limit: 10, metadata: { sweep: 'x' }, status: 'cancelled' })).data.map((run) => run.id),
  ).toEqual([made[1]]);
});

test('checkpoints carry the name that their model can be found by', async () => {
  const id = await running({ suffix: 'v2' });
  for (const step of [2, 4, 6]) {
    await s.db.checkpoint.create({
      data: {
        id: newId('checkpoint'),
        projectId: actor.projectId,
        runId: id,
        attempt: 1,
        step,
        blobKey: `runs/${id}/${step}`,
        sizeBytes: 10,
        sha256: 'x',
        metrics: { train_loss: 1 / step },
        deletedAt: step === 2 ? new Date() : null,
      },
    });
  }
  const { data, has_more } = await listCheckpoints(s, actor, id, { limit: 1 });
  expect(has_more).toBe(true);
  expect(data[0]).toMatchObject({
    object: 'fine_tuning.job.checkpoint',
    step_number: 6,
    fine_tuning_job_id: id,
    fine_tuned_model_checkpoint: `ft:tiny:default:v2:${id.slice(-8)}:ckpt-step-6`,
    metrics: { step: 6, train_loss: 1 / 6 },
  });
  const rest = await listCheckpoints(s, actor, id, { limit: 10, after: data[0]?.id });
  expect(rest.data.map((one) => one.step_number)).toEqual([4]);
  expect(await getModel(s, actor, data[0]?.fine_tuned_model_checkpoint ?? '')).toMatchObject({
    kind: 'fine_tuned',
    parent: 'tiny',
    run_id: id,
  });
  await expect(getModel(s, actor, `ft:tiny:default:v2:${id.slice(-8)}:ckpt-step-2`)).rejects.toMatchObject({
    code: 'not_found',
  });
  await expect(getModel(s, actor, `ft:tiny:default:v2:${id.slice(-8)}`)).rejects.toMatchObject({ code: 'not_found' });
});
