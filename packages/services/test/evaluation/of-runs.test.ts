import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeEvaluations } from '../../src/evaluation/make-evaluations.js';
import {
  type Actor,
  cancelEvaluation,
  cancelRun,
  claimRun,
  createBaseFromDir,
  createRun,
  deleteFile,
  finishAttempt,
  listEvaluationTasks,
  recordCheckpoint,
  type Services,
  startAttempt,
} from '../../src/index.js';
import { dropCheckpoints } from '../../src/training/drop-checkpoints.js';
import { seedWorker } from '../seed-run.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let training: string;
let file: string;
beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  training = (await uploadRows(s, actor, goodRows(64))).id;
  file = (await uploadRows(s, actor, '{"query":"q","choices":["a","b"],"gold":0}', 'evals')).id;
});

async function submit(suites: readonly object[], checkpoint: object = { keep_last: 1 }) {
  const pool = `p-${newId('run').slice(-6)}`;
  const body = { model: 'tiny', training_file: training, pool, priority: 60, checkpoint, evaluation: { suites } };
  return { pool, run: await createRun(s, actor, body) };
}

async function beginTraining(pool: string) {
  const claim = await claimRun(s, { workerId: await seedWorker(s, pool), pool });
  if (claim?.kind !== 'train') throw new Error(`claimed ${claim?.kind}`);
  await startAttempt(s, claim.token, { startStep: 0 });
  const save = async (step: number) => {
    const dir = await writeFolder({ 'state.json': `{"step":${step}}` });
    await recordCheckpoint(s, claim.token, { step, dir, metrics: {} });
  };
  return { save, finish: (step: number) => finishAttempt(s, claim.token, { step, trainedTokens: 1 }) };
}

const madeFor = async (run: string) =>
  (await listEvaluationTasks(s, actor, { limit: 100, run })).data
    .map(({ model, suite, tuned, lambda, made_for, pool, priority }) => ({
      model,
      suite,
      step: tuned?.step ?? null,
      lambda,
      made_for,
      pool,
      priority,
    }))
    .reverse();
const keptOf = async (runId: string) =>
  (await s.db.checkpoint.findMany({ where: { runId, deletedAt: null }, orderBy: { step: 'asc' } })).map(
    ({ step }) => step,
  );
const isOpen = async (id: string) => (await s.db.run.findUniqueOrThrow({ where: { id } })).suitesOpen;

describe('a run that asks for evaluations by suites', () => {
  test('has its base asked at once, each checkpoint while it is kept for that, and its result, each once', async () => {
    const suites = [
      { suite: 'arc_easy', file, when: ['before', 'during', 'after'], limit: 5, lambda: 0.5 },
      { suite: 'answers', file, sampling: { samples: 4 } },
    ];
    const sampling = { samples: 4, temperature: 0.8, top_p: 1, seed: 0 };
    const { run, pool } = await submit(suites);
    expect(run.config.evaluation.suites).toEqual([suites[0], { ...suites[1], sampling, when: ['after'] }]);
    await makeEvaluations(s);
    const common = { made_for: run.id, pool, priority: 60 };
    const base = { ...common, model: 'tiny', suite: 'arc_easy', step: null, lambda: 1 };
    expect(await madeFor(run.id)).toEqual([base]);
    // They are in the queue behind the run.
    const { save, finish } = await beginTraining(pool);
    await save(2);
    await save(4);
    expect(await keptOf(run.id)).toEqual([2, 4]);
    await makeEvaluations(s);
    const name = `ft:tiny:default::${run.id.slice(-8)}`;
    const at = (step: number) => ({ ...base, model: `${name}:ckpt-step-${step}`, step, lambda: 0.5 });
    expect(await madeFor(run.id)).toEqual([base, at(2), at(4)]);
    await save(6);
    await finish(6);
    expect(await isOpen(run.id)).toBe(true);
    for (let i = 0; i < 3; i++) await makeEvaluations(s);
    expect(await isOpen(run.id)).toBe(false);
    const result = { ...base, model: name, step: 6 };
    expect(await madeFor(run.id)).toEqual([
      base,
      at(2),
      at(4),
      { ...result, lambda: 0.5 },
      { ...result, suite: 'answers' },
    ]);
    const [answers] = (await listEvaluationTasks(s, actor, { limit: 1, run: run.id, suite: 'answers' })).data;
    expect(answers?.sampling).toEqual({ ...sampling, ks: [1, 4] });
    expect(await keptOf(run.id)).toEqual([2, 4, 6]);
    for (const { id } of (await listEvaluationTasks(s, actor, { limit: 100, run: run.id })).data)
      await cancelEvaluation(s, actor, id);
    await dropCheckpoints(s, run.id);
    expect(await keptOf(run.id)).toEqual([6]);
  });

  test('that writes a checkpoint anew has it asked again, once, and keeps it for that', async () => {
    const { run, pool } = await submit([{ suite: 'arc_easy', file, when: ['during'] }]);
    const { save } = await beginTraining(pool);
    await save(2);
    await makeEvaluations(s);
    const steps = async () => (await madeFor(run.id)).map(({ step }) => step);
    // The same again is the same.
    await save(2);
    await makeEvaluations(s);
    expect(await steps()).toEqual([2]);
    // As an attempt does that goes on from before it.
    await s.db.checkpoint.updateMany({ where: { runId: run.id, step: 2 }, data: { sha256: 'of other weights' } });
    await save(4);
    await save(6);
    const [ofOld] = (await listEvaluationTasks(s, actor, { limit: 1, run: run.id })).data;
    await cancelEvaluation(s, actor, ofOld?.id ?? '');
    await dropCheckpoints(s, run.id);
    expect(await keptOf(run.id)).toEqual([2, 4, 6]);
    for (let i = 0; i < 2; i++) await makeEvaluations(s);
    expect(await steps()).toEqual([2, 2, 4, 6]);
    const shas = new Set(
      (await listEvaluationTasks(s, actor, { limit: 9, run: run.id })).data.map(({ tuned }) => tuned?.sha256),
    );
    expect(shas.size).toBe(4);
  });

  test('asks no more when it was cancelled, and keeps its file until then', async () => {
    const own = (await uploadRows(s, actor, '{"query":"own","choices":["a"],"gold":0}', 'evals')).id;
    const { run } = await submit([{ suite: 'arc_easy', file: own }]);
    await expect(deleteFile(s, actor, own)).rejects.toMatchObject({ code: 'conflict' });
    await cancelRun(s, actor, run.id);
    await makeEvaluations(s);
    expect(await madeFor(run.id)).toEqual([]);
    expect(await isOpen(run.id)).toBe(false);
    await expect(deleteFile(s, actor, own)).resolves.toMatchObject({ deleted: true });
  });

  test('whose base is asked by two at once is asked once', async () => {
    const { run } = await submit([{ suite: 'arc_easy', file, when: ['before'] }]);
    await Promise.allSettled([makeEvaluations(s), makeEvaluations(s)]);
    expect(await madeFor(run.id)).toHaveLength(1);
  });

  test.each([
    [{ suite: 'arc_eassy' }, 'evaluation.suites[1].suite'],
    [{ file: 'file-gone' }, 'evaluation.suites[1].file'],
    [{ seed: 1 }, 'evaluation.suites[1].seed'],
    [{ when: [] }, 'evaluation.suites[1].when'],
    [{ lambda: 2 }, 'evaluation.suites[1].lambda'],
    [{ sampling: { samples: 2 } }, 'evaluation.suites[1].sampling'],
    [{ suite: 'answers', sampling: { samples: 2, ks: [3] } }, 'evaluation.suites[1].sampling.ks'],
    [{ limt: 2 }, 'evaluation.suites[1].limt'],
  ])('with %j is refused by its key', async (patch, param) => {
    const good = { suite: 'arc_easy', file };
    await expect(submit([good, { ...good, ...patch }])).rejects.toMatchObject({ param });
  });
});
