import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadEvaluateJob } from '../src/evaluation/load-evaluate-job.js';
import {
  type Actor,
  advanceExperiment,
  cancelExperiment,
  createExperiment,
  getExperiment,
  getExperimentVerdict,
  loadOutcome,
  type Services,
} from '../src/index.js';
import { fineTunedModelName } from '../src/library/fine-tuned-model-name.js';
import { defaultActor, experimentFiles } from './tiny-base.js';

// An experiment of one arm with a given rate: three final runs, then the way back to the base at ½.
const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let files: Awaited<ReturnType<typeof experimentFiles>>;
beforeAll(async () => {
  actor = await defaultActor(s);
  files = await experimentFiles(s, actor);
});

let names = 0;
/** With its runs ended as a worker would have, whose result is of a step. */
async function trained(lambdas: number[], resultStep = 8, final = [2, 3, 4], fixed: object = {}): Promise<string> {
  const { id, cells } = await createExperiment(s, actor, {
    name: `dial ${++names}`,
    model: 'tiny',
    training_file: files.train,
    evaluation: { validation: files.valid, test: files.test, source: [files.source], every_steps: 4 },
    fixed: { max_steps: 8, batch_size: 4, ...fixed },
    arms: [{ name: 'lora', adapter: { type: 'lora', rank: 2 }, learning_rates: [1e-3] }],
    seeds: { final },
    lambdas,
  });
  for (const { run_id } of cells) await endRun(run_id ?? '', resultStep);
  return id;
}

/** Its validation loss is 2 for the result, and worse at the other step. */
async function endRun(id: string, resultStep: number): Promise<void> {
  const { projectId } = actor;
  await s.db.task.update({ where: { id }, data: { status: 'succeeded', finishedAt: new Date() } });
  const { suffix } = await s.db.run.findUniqueOrThrow({ where: { id } });
  const fineTunedModel = fineTunedModelName({ runId: id, baseName: 'tiny', projectName: 'default', suffix });
  await s.db.run.update({ where: { id }, data: { fineTunedModel, resultStep } });
  for (const step of [4, 8])
    await s.db.checkpoint.create({
      data: {
        id: newId('checkpoint'),
        ...{ projectId, runId: id, step, attempt: 1, blobKey: `checkpoints/${id}/${step}`, metrics: {} },
        ...{ sha256: 'a'.repeat(64), sizeBytes: 10n },
      },
    });
  const points = { create: [4, 8].map((step) => ({ step, value: step === resultStep ? 2 : 3 })) };
  await s.db.metricSeries.create({ data: { projectId, runId: id, name: 'valid_loss', points } });
}

const askedOf = (id: string) =>
  s.db.evaluationTask.findMany({ where: { experimentId: id }, include: { task: true }, orderBy: { id: 'asc' } });

/** Ends every score that waits: on validation rows with this loss, elsewhere with 3. */
async function score(id: string, valid: number): Promise<void> {
  for (const { id: asked, fileId, task } of await askedOf(id)) {
    if (task.finishedAt !== null) continue;
    const figure = (value: number) => ({ value, interval: null, chance: null, at_chance: false });
    const metrics = {
      nats_per_token: figure(fileId === files.valid ? valid : 3),
      bits_per_byte: figure(1.5),
      token_accuracy: figure(0.25),
      exact_match: figure(0.5),
    };
    const summary = { suite: 'file', n: 8, metric: 'bits_per_byte', metrics };
    await s.db.evaluationTask.update({ where: { id: asked }, data: { summary } });
    await s.db.task.update({ where: { id: asked }, data: { status: 'succeeded', finishedAt: new Date() } });
  }
}
const statusOf = async (id: string) => {
  const { status, reason } = await getExperiment(s, actor, id);
  return reason ?? status;
};

test('scores read rows as the runs do: as long, and on the day that their template takes for today', async () => {
  const [plain, cut] = [
    await trained([0.5]),
    await trained([0.5], 8, [2, 3, 4], { max_seq_len: 16, over_length: 'drop' }),
  ];
  for (const id of [plain, cut]) await advanceExperiment(s, id);
  const readAs = async (id: string) => {
    const [asked] = await askedOf(id);
    const job = await loadEvaluateJob(s, { taskId: asked?.id ?? '', attempt: 1, workerId: 'w' });
    return job.readAs;
  };
  const { templateDate } = await s.db.experiment.findUniqueOrThrow({ where: { id: cut } });
  expect(await readAs(plain)).toEqual({ maxSeqLen: null, overLength: 'truncate', templateDate });
  expect(await readAs(cut)).toEqual({ maxSeqLen: 16, overLength: 'drop', templateDate });
});

test('final runs are scored at the share, each score once however many rounds there are; then test rows, where it is the better one', async () => {
  const id = await trained([0.5]);
  await Promise.all([1, 2, 3].map(() => advanceExperiment(s, id)));
  expect(await statusOf(id)).toBe('running');
  const first = await askedOf(id);
  expect(first).toHaveLength(6);
  expect(first.map(({ fileId }) => fileId).sort()).toEqual(
    [...Array(3).fill(files.valid), ...Array(3).fill(files.source)].sort(),
  );
  expect(first.every(({ lambda, suite, task }) => lambda === 0.5 && suite === 'file' && task.priority === 40)).toBe(
    true,
  );
  expect(await statusOf(id)).toBe('running');

  await score(id, 1.9);
  await advanceExperiment(s, id);
  const second = (await askedOf(id)).filter(({ fileId }) => fileId === files.test);
  expect(second).toHaveLength(3);
  expect(await statusOf(id)).toBe('running');

  await score(id, 1.9);
  await advanceExperiment(s, id);
  expect(await statusOf(id)).toBe('succeeded');
  const { runs } = await loadOutcome(s, actor, id);
  for (const { dial } of runs)
    expect(dial).toMatchObject([
      {
        lambda: 0.5,
        scores: expect.arrayContaining([
          expect.objectContaining({ use: 'validation', role: 'target', loss: 1.9, bits_per_byte: 1.5, rows: 8 }),
          expect.objectContaining({ use: 'test', role: 'source', loss: 3 }),
          expect.objectContaining({ use: 'test', role: 'target', loss: 3, token_accuracy: 0.25 }),
        ]),
      },
    ]);
});

test('test rows are not looked at where the end of the run is the better one', async () => {
  const id = await trained([0.5]);
  await advanceExperiment(s, id);
  await score(id, 2.1);
  await advanceExperiment(s, id);
  expect(await statusOf(id)).toBe('succeeded');
  expect((await askedOf(id)).some(({ fileId }) => fileId === files.test)).toBe(false);
});

test('runs that overfit are chosen, scored and read on test rows at the checkpoint that validation rows chose', async () => {
  const id = await trained([0.5], 4);
  await advanceExperiment(s, id);
  expect((await getExperiment(s, actor, id)).cells.map((cell) => cell.score)).toEqual([2, 2, 2]);
  const asked = await askedOf(id);
  expect(asked.map(({ tunedStep }) => tunedStep)).toEqual(Array(6).fill(4));
  // Worse than the result, though better than the last step.
  await score(id, 2.5);
  await advanceExperiment(s, id);
  expect(await statusOf(id)).toBe('succeeded');
  expect((await askedOf(id)).some(({ fileId }) => fileId === files.test)).toBe(false);
  const { runs } = await loadOutcome(s, actor, id);
  expect(runs.map((run) => [run.result_step, run.dial.map(({ lambda }) => lambda)])).toEqual(Array(3).fill([4, [0.5]]));
});

test('with too few seeds the base and each run are scored on test rows item by item, each once, and the interval is over them', async () => {
  const id = await trained([0.5], 8, [2]);
  const look = async () => {
    await advanceExperiment(s, id);
    await score(id, 1.9);
    return (await askedOf(id))
      .filter(({ fileId }) => fileId === files.test)
      .map((one) => `${one.runId === null ? 'base' : 'run'} ${one.lambda}`)
      .sort();
  };
  expect([await look(), await look(), await look()]).toEqual([[], ['run 0.5'], ['base 1', 'run 0.5']]);
  await advanceExperiment(s, id);
  expect(await statusOf(id)).toBe('succeeded');
  expect((await getExperimentVerdict(s, actor, id, { metric: 'loss' })).gain).toBeNull();
  // Each of 40 rows of two tokens costs 4 nats less than with the base, which is 2 a token.
  const tested = (await askedOf(id)).filter(({ fileId }) => fileId === files.test);
  for (const { id: evaluationId, runId } of tested) {
    const row = (index: number) => ({
      ...{ evaluationId, index, itemId: `${index}`, prompt: '?' },
      metrics: {
        ...{ nats: (runId === null ? 10 : 6) + (index % 2), tokens: 2 },
        // A row that was cut has no whole answer.
        ...(index < 10 ? {} : { exact_match: runId === null ? 0 : 1 }),
      },
    });
    // Five more are left out, as the runs leave them out.
    const none = (index: number) => ({ ...row(index), metrics: { nats: 0, tokens: 0 } });
    await s.db.scoredItem.createMany({ data: Array.from({ length: 45 }, (_, i) => (i < 40 ? row(i) : none(i))) });
    await s.db.evaluationTask.update({ where: { id: evaluationId }, data: { itemsSha256: 'c'.repeat(64) } });
  }
  const verdict = await getExperimentVerdict(s, actor, id, { metric: 'loss' });
  expect(verdict).toMatchObject({ decision: 'use', chosen: { lambda: 0.5 }, gain: { over: 'items', n: 40 } });
  expect(verdict.gain?.mean).toBeCloseTo(2, 12);
  const exact = await getExperimentVerdict(s, actor, id, { metric: 'exact_match' });
  expect(exact.gain).toMatchObject({ over: 'items', n: 30, mean: 1 });
});

test('items of a whole update are no point on its way back to the base', async () => {
  const id = await trained([], 8, [2]);
  await advanceExperiment(s, id);
  const asked = (await askedOf(id)).map(({ runId, lambda }) => `${runId === null ? 'base' : 'run'} ${lambda}`);
  expect(asked.sort()).toEqual(['base 1', 'run 1']);
  await score(id, 1.9);
  await advanceExperiment(s, id);
  expect(await statusOf(id)).toBe('succeeded');
  expect((await loadOutcome(s, actor, id)).runs.map(({ dial }) => dial)).toEqual([[]]);
});

test('a score that failed is left out and holds nothing up', async () => {
  const id = await trained([0.5]);
  await advanceExperiment(s, id);
  const [one] = await askedOf(id);
  await s.db.task.update({
    where: { id: one?.id ?? '' },
    data: { status: 'failed', errorCode: 'internal', errorMessage: 'no', finishedAt: new Date() },
  });
  await score(id, 1);
  await advanceExperiment(s, id);
  expect(await statusOf(id)).toBe('succeeded');
  expect(await askedOf(id)).toHaveLength(6);
});

test('cancelling ends the scores that wait', async () => {
  const id = await trained([0.5, 0.75]);
  await advanceExperiment(s, id);
  expect(await askedOf(id)).toHaveLength(12);
  await cancelExperiment(s, actor, id);
  expect((await askedOf(id)).map(({ task }) => task.status)).toEqual(Array(12).fill('cancelled'));
});
