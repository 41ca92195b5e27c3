import { Estimate } from '@moraine/contract';
import { drawCanaries } from '@moraine/contract/analyses';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type Actor,
  type Claim,
  claimRun,
  createAnalysis,
  createBaseFromDir,
  createRun,
  estimateRun,
  finishAttempt,
  ingestMetrics,
  listEvents,
  registerWorker,
  type Services,
  startAttempt,
} from '../src/index.js';
import { encodeFiles } from '../src/training/dry-run.js';
import { configOn, toScored } from '../src/training/estimate-run.js';
import { prepareRun } from '../src/training/prepare-run.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let training_file = '';

beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  training_file = (await uploadRows(s, actor, goodRows(40))).id;
});

const estimate = (body: Record<string, unknown> = {}) =>
  estimateRun(s, actor, { model: 'tiny', training_file, batch_size: 8, ...body });

const worker = (name: string, pool: string, memoryBytes: number) =>
  registerWorker(s, {
    name,
    pool,
    host: 'here',
    pid: 1,
    version: '1',
    device: { kind: 'cpu', name: 'cpu', tensorflow: null, bfloat16: null },
    cores: 1,
    memoryBytes,
  });

test('an estimate has the configuration, memory and time by part, and queues nothing', async () => {
  const found = await estimate({ max_steps: 10 });
  expect(Estimate.parse(found)).toEqual(found);
  expect(found.config).toMatchObject({ base: 'tiny', steps: 10, batch_size: 8 });
  const { parts, total_bytes } = found.memory;
  expect(Object.values(parts).reduce((a, b) => a + b, 0)).toBeCloseTo(total_bytes, -1);
  expect(parts.weights).toBeGreaterThan(4 * 4432);
  expect(found.time.measured_runs).toBe(0);
  expect(found.tokens_per_step).toBeCloseTo((8 * (found.rehearsal[0]?.tokens ?? 0)) / 40, 0);
  expect(await s.db.run.count()).toBe(0);
});

test('steps are counted on the rows that are trained on, as the run will', async () => {
  const mixed = await uploadRows(
    s,
    actor,
    `${goodRows(8)}\n${JSON.stringify({ prompt: 'x'.repeat(90), completion: 'y' })}`,
  );
  const found = await estimate({
    training_file: mixed.id,
    batch_size: 1,
    over_length: 'drop',
    hyperparameters: { n_epochs: 1 },
  });
  expect(found.config.steps).toBe(8);
});

test('rows are read once for whatever is asked of them, and anew where they would be read in another way', async () => {
  const file = await uploadRows(s, actor, goodRows(13));
  const asked = (body: Record<string, unknown>) => estimate({ training_file: file.id, ...body });
  const first = await asked({ max_steps: 10 });
  const { blobKey } = await s.db.file.findUniqueOrThrow({ where: { id: file.id } });
  await s.blobs.remove(blobKey);
  const other = await asked({ max_steps: 20, adapter: { type: 'mora', rank: 2 } });
  expect(other.rehearsal).toEqual(first.rehearsal);
  expect(other.config.steps).toBe(20);
  await expect(asked({ max_steps: 10, max_seq_len: 24 })).rejects.toThrow();
  await expect(asked({ max_steps: 10, over_length: 'drop' })).rejects.toThrow();
});

test('a file whose beginning has no row to train on, and whose end was not reached, is refused with the reason', async () => {
  const prepared = await prepareRun(s, actor, { model: 'tiny', training_file, over_length: 'drop' });
  const [training] = await encodeFiles(s, prepared);
  if (typeof training !== 'object') throw new Error(training);
  const report = { ...training.report, rowsRead: 500, isPartial: true, rows: 0 };
  expect(() => configOn(prepared, [{ report }])).toThrow(
    expect.objectContaining({
      code: 'invalid_file',
      param: 'training_file',
      message: expect.stringMatching(/no row to train on among the first 500 in the time that it has/),
    }),
  );
  const half = { ...training.report, rowsRead: 20, isPartial: true, rows: 10 };
  expect(configOn(prepared, [{ report: half }]).steps).toBe(prepared.config.steps / 2);
});

test('an evaluation file that was read in part counts as its whole', async () => {
  const [training] = await encodeFiles(s, await prepareRun(s, actor, { model: 'tiny', training_file }));
  if (typeof training !== 'object') throw new Error(training);
  expect(toScored(training, 40)).toEqual({ lengths: training.lengths, times: 1 });
  const half = { ...training, report: { ...training.report, rowsRead: 20, isPartial: true } };
  expect(toScored(half, 40).times).toBe(2);
});

test('it says for each worker of the pool whether the run fits', async () => {
  const [small, large] = [await worker('small', 'two', 2 ** 20), await worker('large', 'two', 2 ** 36)];
  const lost = await worker('lost', 'two', 2 ** 36);
  await s.db.worker.update({ where: { id: lost }, data: { status: 'lost' } });
  const { workers } = await estimate({ pool: 'two' });
  expect(new Map(workers.map(({ id, fits }) => [id, fits]))).toEqual(
    new Map([
      [small, false],
      [large, true],
    ]),
  );
});

test('the pace of earlier runs on the base decides the time', async () => {
  const pool = 'paced';
  for (const suffix of ['a', 'b', 'c']) await createRun(s, actor, { model: 'tiny', training_file, suffix, pool });
  const workerId = await worker('paced', pool, 2 ** 36);
  // Each as a worker would have: two steps of a second, in which it trained so many tokens.
  for (const tokens of [100, 40, 7000]) {
    const { token } = (await claimRun(s, { workerId, pool })) as Claim;
    await startAttempt(s, token, { startStep: 0 });
    const steps = [1, 2].map((step) => ({
      step,
      values: { train_loss: 1, step_ms: 1000, trained_tokens: step * tokens },
    }));
    await ingestMetrics(s, token, steps);
    await finishAttempt(s, token, { step: 2, trainedTokens: 2 * tokens });
  }
  const found = await estimate({ max_steps: 50, pool });
  expect(found.time.measured_runs).toBe(3);
  expect(found.time.parts.train).toBeCloseTo((50 * found.tokens_per_step) / 100, 6);
  expect((await estimate({ adapter: { type: 'none' }, pool })).time.measured_runs, 'of another method').toBe(0);
});

test('what earlier runs on the base took beside their steps is the start of this one, without what it scored', async () => {
  // 6.5 s until it is ready and 2 s after the last that was measured, whatever lies between; two are no measure: a second attempt, and one without a start.
  const took = [
    { ready: 6.5, saved: 28, scored: null, wall: 30, attempt: 1 },
    { ready: 6.5, saved: 28, scored: 99, wall: 101, attempt: 1 },
    { ready: 1, saved: 20, scored: null, wall: 90, attempt: 2 },
    { ready: null, saved: 20, scored: null, wall: 90, attempt: 1 },
  ];
  const at = (seconds: number) => new Date(1000 * seconds);
  const unknown = await estimate({ pool: 'clocked' });
  for (const [i, { ready, saved, scored, wall, attempt }] of took.entries()) {
    const { id } = await createRun(s, actor, { model: 'tiny', training_file, pool: 'clocked', suffix: `clocked-${i}` });
    const of = { projectId: actor.projectId, runId: id, attempt };
    const stored = { id: `step-${i}`, step: 9, blobKey: `step-${i}`, sizeBytes: 1, sha256: '' };
    await s.db.checkpoint.create({ data: { ...of, ...stored, createdAt: at(saved) } });
    const figures = { name: 'held', step: 9, rows: 1, supervisedTokens: 1, loss: 1, tokenAccuracy: 1 };
    if (scored !== null)
      await s.db.evaluation.create({
        data: { ...of, id: `scored-${i}`, fileId: training_file, ...figures, createdAt: at(scored) },
      });
    const said = { id: `ready-${i}`, projectId: actor.projectId, taskId: id, attempt, level: 'info', type: 'message' };
    if (ready !== null)
      await s.db.event.create({
        data: { ...said, message: 'Training starts', data: { secondsToReady: 5 }, createdAt: at(ready) },
      });
    const task = { status: 'succeeded', state: null, attempt, startedAt: at(0), finishedAt: at(wall) };
    await s.db.task.update({ where: { id }, data: task });
  }
  const { start, export: written } = (await estimate({ pool: 'clocked' })).time.parts;
  expect(start + written).toBeCloseTo(8.5, 6);
  expect(unknown.time.parts.start).not.toBeCloseTo(start, 1);
  expect((await estimate()).time.parts.start, 'of another pool').toBe(unknown.time.parts.start);
});

test('evaluations by suites and analyses that a run asks for are counted, with their seconds where such have ended', async () => {
  const drawn = drawCanaries('digits', { count: 1, controls: 0, seed: 1 });
  const planted = { format: 'moraine-canaries', format_version: 1, kind: 'digits', seed: 1, repeat: 1 };
  const text = JSON.stringify({ ...planted, row_format: 'chat', ...drawn });
  const file = (await uploadRows(s, actor, text, 'evals', 'canaries.json')).id;
  const pool = 'beside';
  const canaries = { kind: 'canaries', file, when: ['before', 'after'] };
  const ask = (evaluation: object, more: object = {}) => ({ max_steps: 10, pool, evaluation, ...more });
  const by4 = { checkpoint: { every_steps: 4 } };
  // Checkpoints at steps 4, 8 and 10, the last of which is the result.
  const weights = { kind: 'weights', when: ['during', 'after'] };
  const suites = [{ suite: 'file', file: training_file, when: ['before'] }];
  const all = ask({ analyses: [weights, canaries], suites }, by4);
  const counted = { evaluations: { count: 1, seconds: null }, analyses: { count: 3 + 2, seconds: null } };
  expect((await estimate(all)).beside).toEqual(counted);
  expect((await createRun(s, actor, { model: 'tiny', training_file, ...all, dry_run: true })).beside).toEqual(counted);
  for (const seconds of [6, 7, 90]) {
    const { id } = await createAnalysis(s, actor, { kind: 'canaries', model: 'tiny', file, pool });
    const task = { status: 'succeeded', attempt: 1, startedAt: new Date(0), finishedAt: new Date(1000 * seconds) };
    await s.db.task.update({ where: { id }, data: task });
  }
  expect((await estimate(ask({ analyses: [canaries] }, by4))).beside.analyses).toEqual({ count: 2, seconds: 14 });
  expect((await estimate(all)).beside.analyses, 'none of weights').toEqual({ count: 5, seconds: null });
  // By time: as many as the steps take, one at least.
  const { beside, time } = await estimate(ask({ analyses: [weights] }, { checkpoint: { every_seconds: 0.01 } }));
  expect(beside.analyses.count).toBe(Math.floor(time.parts.train / 0.01) + 1);
  expect(beside.analyses.count).toBeGreaterThan(1);
  expect((await estimate({ max_steps: 10 })).beside.analyses).toEqual({ count: 0, seconds: 0 });
});

test('a run that no worker of the pool can hold is queued, and says so', async () => {
  await worker('tiny', 'tight', 2 ** 20);
  const events = async (pool: string) => {
    const { id } = await createRun(s, actor, { model: 'tiny', training_file, pool });
    return (await listEvents(s, actor, id, { limit: 10 })).data.map(({ level, message }) => `${level}: ${message}`);
  };
  expect(await events('tight')).toContainEqual(
    expect.stringMatching(
      /^warn: The run needs at least 0\.4 GiB of memory .* the largest worker of pool 'tight' has 0\.0 GiB\./,
    ),
  );
  expect((await events('empty')).filter((event) => event.startsWith('warn'))).toEqual([]);
});
