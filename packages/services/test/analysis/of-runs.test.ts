import { newId } from '@moraine/contract';
import { drawCanaries } from '@moraine/contract/analyses';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { makeAnalyses } from '../../src/analysis/make-analyses.js';
import {
  type Actor,
  cancelAnalysis,
  cancelRun,
  claimRun,
  createBaseFromDir,
  createRun,
  deleteFile,
  finishAttempt,
  listAnalyses,
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
  const drawn = drawCanaries('digits', { count: 1, controls: 0, seed: 1 });
  const planted = { kind: 'digits', seed: 1, repeat: 1, row_format: 'chat', ...drawn };
  const text = JSON.stringify({ format: 'moraine-canaries', format_version: 1, ...planted });
  file = (await uploadRows(s, actor, text, 'evals', 'canaries.json')).id;
});

async function submit(analyses: readonly object[]) {
  const pool = `p-${newId('run').slice(-6)}`;
  const body = { model: 'tiny', training_file: training, pool, priority: 60, checkpoint: { keep_last: 1 } };
  return { pool, run: await createRun(s, actor, { ...body, evaluation: { analyses } }) };
}

const madeFor = async (run: string) =>
  (await listAnalyses(s, actor, { limit: 100, run })).data
    .map(({ model, ask, tuned, lambda, made_for, pool, priority }) => ({
      ...{ model, kind: ask.kind, step: tuned?.step, lambda, made_for, pool, priority },
    }))
    .reverse();
const keptOf = async (runId: string) =>
  (await s.db.checkpoint.findMany({ where: { runId, deletedAt: null }, orderBy: { step: 'asc' } })).map(
    ({ step }) => step,
  );
const isOpen = async (id: string) => (await s.db.run.findUniqueOrThrow({ where: { id } })).analysesOpen;

test('a run has each checkpoint measured, which is kept for that, and its result, each once', async () => {
  const weights = { kind: 'weights', layers: 'mlp', lambda: 0.5, when: ['during', 'after'] };
  const { run, pool } = await submit([weights, { kind: 'canaries', file }]);
  expect(run.config.evaluation.analyses).toEqual([
    { ...weights, k: 10, epsilon: 0.5, seed: 0 },
    { kind: 'canaries', file, when: ['after'] },
  ]);
  const claim = await claimRun(s, { workerId: await seedWorker(s, pool), pool });
  if (claim?.kind !== 'train') throw new Error('no run');
  await startAttempt(s, claim.token, { startStep: 0 });
  const save = async (step: number) => {
    const dir = await writeFolder({ 'state.json': `{"step":${step}}` });
    await recordCheckpoint(s, claim.token, { step, dir, metrics: {} });
  };
  await save(2);
  await save(4);
  expect(await keptOf(run.id)).toEqual([2, 4]);
  await Promise.allSettled([makeAnalyses(s), makeAnalyses(s)]);
  const name = `ft:tiny:default::${run.id.slice(-8)}`;
  const common = { made_for: run.id, pool, priority: 60, kind: 'weights', lambda: 0.5 };
  const at = (step: number) => ({ ...common, model: `${name}:ckpt-step-${step}`, step });
  const steps = (await madeFor(run.id)).sort((a, b) => (a.step ?? 0) - (b.step ?? 0));
  expect(steps).toEqual([at(2), at(4)]);
  await save(6);
  await finishAttempt(s, claim.token, { step: 6, trainedTokens: 1 });
  expect(await isOpen(run.id)).toBe(true);
  await expect(deleteFile(s, actor, file)).rejects.toMatchObject({ code: 'conflict' });
  for (let i = 0; i < 3; i++) await makeAnalyses(s);
  expect(await isOpen(run.id)).toBe(false);
  const result = { ...common, model: name, step: 6 };
  expect((await madeFor(run.id)).slice(2)).toEqual([result, { ...result, kind: 'canaries', lambda: 1 }]);
  expect(await keptOf(run.id)).toEqual([2, 4, 6]);
  for (const { id } of (await listAnalyses(s, actor, { limit: 100, run: run.id })).data)
    await cancelAnalysis(s, actor, id);
  await dropCheckpoints(s, run.id);
  expect(await keptOf(run.id)).toEqual([6]);
});

test('what of one run cannot be made keeps no other run from having its own', async () => {
  const ended = async () => {
    const { run, pool } = await submit([{ kind: 'weights' }]);
    const claim = await claimRun(s, { workerId: await seedWorker(s, pool), pool });
    if (claim?.kind !== 'train') throw new Error('no run');
    await startAttempt(s, claim.token, { startStep: 0 });
    await recordCheckpoint(s, claim.token, { step: 2, dir: await writeFolder({ 'state.json': '{}' }), metrics: {} });
    await finishAttempt(s, claim.token, { step: 2, trainedTokens: 1 });
    return run.id;
  };
  const runs = [await ended(), await ended()].sort();
  const [broken = '', other = ''] = runs;
  const write = (kind: string) =>
    s.pg.query(`UPDATE runs SET config = jsonb_set(config, '{evaluation,analyses,0,kind}', $2) WHERE id = $1`, [
      broken,
      JSON.stringify(kind),
    ]);
  await write('nonsense');
  await makeAnalyses(s);
  expect([(await madeFor(broken)).length, (await madeFor(other)).length]).toEqual([0, 1]);
  expect(await isOpen(broken)).toBe(true);
  await write('weights');
  for (let i = 0; i < 2; i++) await makeAnalyses(s);
  expect([(await madeFor(broken)).length, await isOpen(broken)]).toEqual([1, false]);
});

test('a run that was cancelled asks no more', async () => {
  const { run } = await submit([{ kind: 'weights' }]);
  await cancelRun(s, actor, run.id);
  await makeAnalyses(s);
  expect([await madeFor(run.id), await isOpen(run.id)]).toEqual([[], false]);
});

test.each([
  [{ kind: 'canaries', file: 'file-gone' }, 'evaluation.analyses[1].file'],
  [{ kind: 'weigths' }, 'evaluation.analyses[1].kind'],
  [{ kind: 'weights', when: [] }, 'evaluation.analyses[1].when'],
  [{ kind: 'weights', epsilom: 1 }, 'evaluation.analyses[1].epsilom'],
])('with %j a run is refused by its key', async (analysis, param) => {
  await expect(submit([{ kind: 'weights' }, analysis])).rejects.toMatchObject({ param });
});
