import { newId, type RunObject } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { inTransaction } from '../src/ground/transaction.js';
import * as services from '../src/index.js';
import { collectOrphans } from '../src/reconcile/orphans.js';
import { purgeDeleted } from '../src/reconcile/purge.js';
import { seedWorker } from './seed-run.js';
import { defaultActor, goodRows, otherActor, tinyFiles, uploadRows, writeFolder } from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s = t.services;
let actor: services.Actor;
let file: string;
let dir: string;

beforeAll(async () => {
  actor = await defaultActor(s);
  await services.createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  file = (await uploadRows(s, actor, goodRows(64))).id;
  dir = await writeFolder({ 'adapter_model.safetensors': 'weights' });
});

const submit = (more: object = {}) =>
  services.createRun(s, actor, { model: 'tiny', training_file: file, max_steps: 20, ...more });

/** A run that a worker has trained to its end. */
async function trained(suffix?: string): Promise<RunObject> {
  const pool = newId('worker');
  const { id } = await submit({ pool, ...(suffix === undefined ? {} : { suffix }) });
  const claim = await services.claimRun(s, { workerId: await seedWorker(s, pool), pool });
  if (!claim) throw new Error('nothing to claim');
  const { token } = claim;
  await services.startAttempt(s, token, { startStep: 0 });
  for (let step = 1; step <= 3; step++) await services.ingestMetrics(s, token, [{ step, values: { train_loss: 1 } }]);
  await services.recordLogs(s, token, [{ line: 1, at: 1, level: 'info', message: 'said' }]);
  await services.recordCheckpoint(s, token, { step: 20, dir, metrics: {} });
  await services.recordExports(s, token, [{ kind: 'adapter', dir }]);
  await services.recordResultFile(s, token, { id: newId('file'), csv: 'step\n' });
  await services.finishAttempt(s, token, { step: 20, trainedTokens: 1 });
  return services.getRun(s, actor, id);
}

const nothing = { code: 'not_found' };
const conflict = (message: RegExp) => ({ code: 'conflict', message: expect.stringMatching(message) });
const over = (id: string) => s.pg.query(`UPDATE tasks SET purge_at = now() - interval '1 second' WHERE id = $1`, [id]);
const blobsOf = (id: string) => s.blobs.list(`runs/${id}`);
const resultOf = (run: RunObject) => run.result_files[0] ?? '';
const deletedIds = async () =>
  (await services.searchRuns(s, actor, { limit: 100, sort: '-created', count: false, deleted: true })).data.map(
    ({ id }) => id,
  );

describe('a deleted run', () => {
  let run: RunObject;
  let said: Awaited<ReturnType<typeof services.deleteRun>>;
  beforeAll(async () => {
    run = await trained('gone');
    said = await services.deleteRun(s, actor, run.id, { keepDays: 7 });
  });

  test('says exactly what goes and until when it can be restored, the same each time', async () => {
    expect(said).toMatchObject({ id: run.id, deleted: true, name: 'gone' });
    expect((said.restorable_until ?? 0) - said.deleted_at).toBe(7 * 86_400);
    expect(said.removes).toMatchObject({
      model: run.fine_tuned_model,
      result_files: run.result_files,
      checkpoints: 1,
      downloads: 1,
      metric_points: 3,
      log_lines: 1,
      bytes: 7 + 7 + 5,
    });
    const until = new Date((said.restorable_until ?? 0) * 1_000).toISOString().replace('.000', '');
    expect(said.message).toContain(`${run.id} (gone) is deleted and can be restored until ${until}. Then go its`);
    expect(said.message).toMatch(
      /1 checkpoint, 1 stored download, 3 metric points, \d events, 1 log line, the file file-/,
    );
    expect(said.message).toContain(`the model ${run.fine_tuned_model}, 19 bytes of storage.`);
    const again = await services.deleteRun(s, actor, run.id, { keepDays: 1 });
    expect([again.restorable_until, again.deleted_at]).toEqual([said.restorable_until, said.deleted_at]);
  });

  const reads: Record<string, (id: string) => Promise<unknown>> = {
    getRun: (id) => services.getRun(s, actor, id),
    requireRun: (id) => services.requireRun(s, actor, id),
    'requireRuns, of streams': (id) => services.requireRuns(s, actor, [id]),
    listEvents: (id) => services.listEvents(s, actor, id, { limit: 9 }),
    listLogs: (id) => services.listLogs(s, actor, id, { after: 0, limit: 9 }),
    listCheckpoints: (id) => services.listCheckpoints(s, actor, id, { limit: 9 }),
    listEvaluations: (id) => services.listEvaluations(s, actor, id),
    readMetrics: (id) => services.readMetrics(s, actor, id, { buckets: 9 }),
    openAdapter: (id) =>
      services.openAdapter(s, actor, id, { format: 'native', lambda: 1 }, () => Promise.reject(new Error('made'))),
    cancelRun: (id) => services.cancelRun(s, actor, id),
    pauseRun: (id) => services.pauseRun(s, actor, id),
    resumeRun: (id) => services.resumeRun(s, actor, id),
    verifyRun: (id) => services.verifyRun(s, actor, id),
    'getModel of its name': () => services.getModel(s, actor, run.fine_tuned_model ?? ''),
    'getModel of its checkpoint': () => services.getModel(s, actor, `${run.fine_tuned_model}:ckpt-step-20`),
    'createRun from its name': () => submit({ model: run.fine_tuned_model }),
    getFile: () => services.getFile(s, actor, resultOf(run)),
    openFile: () => services.openFile(s, actor, resultOf(run)),
  };
  test.each(Object.entries(reads))('is not found by %s', async (_name, read) => {
    await expect(read(run.id)).rejects.toMatchObject(nothing);
  });

  test('is in no list but that of the deleted, with the time at which it goes', async () => {
    const lists = await Promise.all([
      services.listRuns(s, actor, { limit: 100 }),
      services.searchRuns(s, actor, { limit: 100, sort: '-created', count: false }),
      services.listModels(s, actor),
      services.listFiles(s, actor, { limit: 100, order: 'desc' }),
    ]);
    for (const id of [run.id, resultOf(run), run.fine_tuned_model]) expect(JSON.stringify(lists)).not.toContain(id);
    const search = { limit: 9, sort: '-created', count: true, deleted: true, q: run.id } as const;
    const { data, total_count } = await services.searchRuns(s, actor, search);
    const { deleted_at, restorable_until } = said;
    expect([data[0]?.deletion, total_count]).toEqual([{ deleted_at, restorable_until }, 1]);
    const stranger = await otherActor(s);
    expect((await services.searchRuns(s, stranger, search)).data).toEqual([]);
  });

  test('lets go of its Idempotency-Key: the same request makes a new run', async () => {
    const repeatable = { idempotencyKey: 'key' };
    const body = { model: 'tiny', training_file: file, pool: 'unserved' };
    const first = await services.createRun(s, actor, body, repeatable);
    expect((await services.createRun(s, actor, body, repeatable)).id).toBe(first.id);
    await services.cancelRun(s, actor, first.id);
    await services.deleteRun(s, actor, first.id);
    const second = await services.createRun(s, actor, body, repeatable);
    expect(second.id).not.toBe(first.id);
    const retry = await services.createRun(s, actor, body, { retryCount: 1 });
    expect(retry.id).toBe(second.id);
  });

  test('keeps its bytes while it can be restored, whatever else is collected', async () => {
    await s.pg.query(`UPDATE attempts SET finished_at = now() - interval '2 hours' WHERE task_id = $1`, [run.id]);
    const before = await blobsOf(run.id);
    await collectOrphans(s);
    await purgeDeleted(s);
    expect(await blobsOf(run.id)).toEqual(before);
    expect(before.length).toBe(3);
  });

  test('comes back whole when it is restored, with its history', async () => {
    const back = await services.restoreRun(s, actor, run.id);
    expect(back).toMatchObject({ id: run.id, status: 'succeeded', fine_tuned_model: run.fine_tuned_model });
    expect((await services.getFile(s, actor, resultOf(run))).id).toBe(resultOf(run));
    const { data } = await services.listEvents(s, actor, run.id, { limit: 2 });
    expect(data.map(({ message }) => message)).toEqual([
      'The run was restored',
      expect.stringMatching(/^The run was deleted and can be restored until 20/),
    ]);
    expect((await services.restoreRun(s, actor, run.id)).id).toBe(run.id);
    expect(await deletedIds()).not.toContain(run.id);
  });
});

describe('a run is not deleted', () => {
  test('while it waits or runs', async () => {
    const { id } = await submit({ pool: 'unserved' });
    await expect(services.deleteRun(s, actor, id)).rejects.toMatchObject({
      ...conflict(/is queued/),
      hint: `Cancel it first: POST /v1/fine_tuning/jobs/${id}/cancel.`,
    });
  });

  test('while a run that has not ended starts from its checkpoint; that run is named', async () => {
    const source = await trained();
    const user = await submit({ model: source.fine_tuned_model, pool: 'unserved' });
    await expect(services.deleteRun(s, actor, source.id)).rejects.toMatchObject(
      conflict(new RegExp(`^${user.id} starts from a checkpoint of ${source.id} and is queued`)),
    );
    await services.cancelRun(s, actor, user.id);
    await services.deleteRun(s, actor, source.id);
    await over(source.id);
    await purgeDeleted(s);
    expect((await services.getRun(s, actor, user.id)).config.start?.run_id).toBe(source.id);
  });

  test('and started from at once: whichever comes second is refused', async () => {
    for (let i = 0; i < 4; i++) {
      const source = await trained();
      const start = { model: source.fine_tuned_model, pool: 'unserved' };
      const started = await inTransaction(s, async (client) => {
        await client.query('SELECT id FROM tasks WHERE id = $1 FOR UPDATE', [source.id]);
        const both = i % 2 === 0 ? [() => submit(start), remove] : [remove, () => submit(start)];
        const [first, second] = both.map((act) => Promise.allSettled([act()]));
        // Both are before the lock by then.
        await untilWaiting(2);
        return { first, second };
      });
      const results = [...((await started.first) ?? []), ...((await started.second) ?? [])];
      expect(results.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
      function remove() {
        return services.deleteRun(s, actor, source.id, { keepDays: 0 });
      }
    }
  });

  test('while its resume is being checked; a check that waits is dropped', async () => {
    const run = await trained();
    const check = newId('verification');
    const { projectId } = actor;
    const task = { id: check, kind: 'verify', projectId, pool: 'checks' };
    await s.db.task.create({ data: { ...task, status: 'running' } });
    await s.db.verification.create({ data: { id: check, projectId, runId: run.id } });
    await expect(services.deleteRun(s, actor, run.id)).rejects.toMatchObject(conflict(/is being checked/));
    await s.db.task.update({ where: { id: check }, data: { status: 'queued' } });
    await services.deleteRun(s, actor, run.id);
    expect((await s.db.task.findUnique({ where: { id: check } }))?.status).toBe('cancelled');
  });
});

/** Waits until so many statements wait for a lock. */
async function untilWaiting(count: number): Promise<void> {
  await expect
    .poll(
      async () => {
        const { rows } = await s.pg.query<{ n: number }>(
          `SELECT count(*)::int AS n FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
        );
        return rows[0]?.n;
      },
      { timeout: 10_000, interval: 20 },
    )
    .toBeGreaterThanOrEqual(count);
}

describe('when its time is over', () => {
  test('a run is removed for good, page by page, with its checks, bytes and file, and nothing else is', async () => {
    const [run, other] = [await trained(), await trained()];
    await purgeDeleted(s);
    await services.deleteRun(s, actor, run.id, { keepDays: 0 });
    const check = newId('verification');
    const { projectId } = actor;
    const task = { id: check, kind: 'verify', projectId, status: 'cancelled', finishedAt: new Date() };
    await s.db.task.create({ data: task });
    await s.db.verification.create({ data: { id: check, projectId, runId: run.id } });
    const attemptsBefore = (await services.countWork(s)).attempts;
    expect(await deletedIds()).not.toContain(run.id);
    expect(await purgeDeleted(s, { page: 1 })).toBe(1);

    await expect(services.restoreRun(s, actor, run.id)).rejects.toMatchObject(nothing);
    expect(await blobsOf(run.id)).toEqual([]);
    for (const id of [run.id, check]) expect(await s.db.task.findUnique({ where: { id } })).toBeNull();
    expect(await s.db.file.findUnique({ where: { id: resultOf(run) } })).toBeNull();
    expect(await s.db.metricSeries.count({ where: { runId: run.id } })).toBe(0);
    expect(await s.db.event.count({ where: { taskId: run.id } })).toBe(0);
    expect(await s.redis.exists(`${s.redisPrefix}:run:${run.id}`)).toBe(0);
    // The counter of attempts does not go back.
    expect((await services.countWork(s)).attempts).toEqual(attemptsBefore);
    expect((await services.readMetrics(s, actor, other.id, { buckets: 9 })).series).toHaveLength(1);
    expect(await blobsOf(other.id)).toHaveLength(3);
    expect((await services.getFile(s, actor, resultOf(other))).id).toBe(resultOf(other));
  });

  test('a round that has no time for all of it is gone on with, and the run cannot be restored in between', async () => {
    const run = await trained();
    await services.deleteRun(s, actor, run.id);
    await over(run.id);
    await inTransaction(s, async (client) => {
      // Somebody holds a row, so that the round ends in the middle.
      await client.query('UPDATE tasks SET purge_at = NULL WHERE id = $1', [run.id]);
      const restoring = Promise.allSettled([services.restoreRun(s, actor, run.id)]);
      await untilWaiting(1);
      return { restoring };
    }).then(async ({ restoring }) => {
      const [result] = await restoring;
      expect(result).toMatchObject({ status: 'rejected', reason: conflict(/can no longer be restored/) });
    });
    expect(await deletedIds()).not.toContain(run.id);
    expect(await purgeDeleted(s)).toBe(1);
  });

  test('a restoration that came a moment before wins, and nothing is removed', async () => {
    const run = await trained();
    await services.deleteRun(s, actor, run.id);
    await over(run.id);
    const { purging } = await inTransaction(s, async (client) => {
      await client.query('UPDATE tasks SET deleted_at = NULL, purge_at = NULL WHERE id = $1', [run.id]);
      const purging = purgeDeleted(s);
      await untilWaiting(1);
      return { purging };
    });
    expect(await purging).toBe(0);
    expect((await services.getRun(s, actor, run.id)).status).toBe('succeeded');
    expect(await blobsOf(run.id)).toHaveLength(3);
  });

  test('a round without time removes nothing, and one that a disk refuses is tried again', async () => {
    const run = await trained();
    await services.deleteRun(s, actor, run.id, { keepDays: 0 });
    expect(await purgeDeleted(s, { budgetMs: 0 })).toBe(0);
    const refusing = { ...s, blobs: { ...s.blobs, remove: () => Promise.reject(new Error('EIO')) } };
    expect(await purgeDeleted(refusing)).toBe(0);
    expect(await s.db.run.count({ where: { id: run.id } })).toBe(1);
    expect(await purgeDeleted(s)).toBe(1);
  });
});
