import { newId } from '@moraine/contract';
import { drawCanaries, type WeightRow } from '@moraine/contract/analyses';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeAnalyses } from '../../src/analysis/make-analyses.js';
import {
  type Actor,
  cancelAnalysis,
  cancelRun,
  claimRun,
  createAnalysis,
  createBaseFromDir,
  createRun,
  deleteFile,
  finishAnalysis,
  finishAttempt,
  getRunAnalyses,
  listAnalyses,
  markAnalysing,
  recordCheckpoint,
  recordRows,
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
  await makeAnalyses(s);
  const [ofOld] = (await listAnalyses(s, actor, { limit: 1, run: run.id })).data;
  await cancelAnalysis(s, actor, ofOld?.id ?? '');
  // As an attempt does that goes on from before it.
  await s.db.checkpoint.updateMany({ where: { runId: run.id, step: 2 }, data: { sha256: 'of other weights' } });
  await save(4);
  expect(await keptOf(run.id)).toEqual([2, 4]);
  await Promise.allSettled([makeAnalyses(s), makeAnalyses(s)]);
  const name = `ft:tiny:default::${run.id.slice(-8)}`;
  const common = { made_for: run.id, pool, priority: 60, kind: 'weights', lambda: 0.5 };
  const at = (step: number) => ({ ...common, model: `${name}:ckpt-step-${step}`, step });
  const steps = (await madeFor(run.id)).sort((a, b) => (a.step ?? 0) - (b.step ?? 0));
  expect(steps).toEqual([at(2), at(2), at(4)]);
  await save(6);
  await finishAttempt(s, claim.token, { step: 6, trainedTokens: 1 });
  expect(await isOpen(run.id)).toBe(true);
  await expect(deleteFile(s, actor, file)).rejects.toMatchObject({ code: 'conflict' });
  for (let i = 0; i < 3; i++) await makeAnalyses(s);
  expect(await isOpen(run.id)).toBe(false);
  const result = { ...common, model: name, step: 6 };
  expect((await madeFor(run.id)).slice(3)).toEqual([result, { ...result, kind: 'canaries', lambda: 1 }]);
  expect(await keptOf(run.id)).toEqual([2, 4, 6]);
  for (const { id, status } of (await listAnalyses(s, actor, { limit: 100, run: run.id })).data)
    if (status === 'queued') await cancelAnalysis(s, actor, id);
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

test('a run has its base asked for canaries before it trains, once, which is step 0 of its course', async () => {
  const { run, pool } = await submit([{ kind: 'canaries', file, lambda: 0.5, when: ['before', 'after'] }]);
  await Promise.allSettled([makeAnalyses(s), makeAnalyses(s)]);
  await makeAnalyses(s);
  const made = (await listAnalyses(s, actor, { limit: 100 })).data.filter(({ made_for }) => made_for === run.id);
  expect(made).toMatchObject([{ model: 'tiny', tuned: null, lambda: 1, pool, ask: { kind: 'canaries', file } }]);
  expect(await isOpen(run.id)).toBe(true);
  const course = await getRunAnalyses(s, actor, run.id, { kind: 'canaries' });
  expect(course).toMatchObject({ ask: { file }, waiting: 1, points: [] });
  await cancelRun(s, actor, run.id);
  await cancelAnalysis(s, actor, made[0]?.id ?? '');
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
  // A base has no update.
  [{ kind: 'weights', when: ['before'] }, 'evaluation.analyses[1].when[0]'],
  [{ kind: 'weights', epsilom: 1 }, 'evaluation.analyses[1].epsilom'],
])('with %j a run is refused by its key', async (analysis, param) => {
  await expect(submit([{ kind: 'weights' }, analysis])).rejects.toMatchObject({ param });
});

describe('what was measured of a run', () => {
  let run: string;
  let pool: string;
  let model: string;
  beforeAll(async () => {
    const made = await submit([{ kind: 'weights', when: ['during'] }]);
    ({ pool } = made);
    run = made.run.id;
    model = `ft:tiny:default::${run.slice(-8)}`;
    const claim = await claimRun(s, { workerId: await seedWorker(s, pool), pool });
    if (claim?.kind !== 'train') throw new Error('no run');
    await startAttempt(s, claim.token, { startStep: 0 });
    for (const step of [2, 4, 6]) {
      const dir = await writeFolder({ 'state.json': `{"step":${step}}` });
      await recordCheckpoint(s, claim.token, { step, dir, metrics: {} });
    }
    await finishAttempt(s, claim.token, { step: 6, trainedTokens: 1 });
    await makeAnalyses(s);
  });

  /** Plays a worker that measures the next analysis of the pool: two layers, of rank `step`, or one canary of that exposure. */
  async function measureNext(): Promise<string> {
    const claim = await claimRun(s, { workerId: await seedWorker(s, pool), pool });
    if (claim?.kind !== 'analyse') throw new Error('no analysis');
    const { token, job } = claim;
    const device = { kind: 'cpu' as const, name: 'cpu', tensorflow: '2', threads: 1 };
    const step = job.step ?? 0;
    const figures = { rank_90: step, stable_rank: 4, overlap: null, cosines: [], intruders: 0 };
    const weights = [0, 1].map(
      (block): WeightRow => ({
        ...{ source: model, step, layer: `model.layers.${block}.mlp.up_proj`, module: 'up_proj', shape: [16, 16] },
        ...{ lambda: job.lambda, from: 'factors', norm: 2 * job.lambda, relative_norm: 0.1, singular_values: [1] },
        ...{ epsilon: 0.5, ...figures, control: { ...figures, rank_90: 12 } },
      }),
    );
    const canary = { id: 'planted-1', is_planted: true, log_probability: -1, rank: 1, candidates: 1024 };
    const known = { ...canary, exposure: step, answer: '', is_extracted: false, characters: 0 };
    const rows = (job.ask.kind === 'weights' ? weights : [known]).map((row, index) => ({ index, row }));
    const begun = { from: 0, total: rows.length, others: 0, secondsToReady: 1 };
    await markAnalysing(s, token, { type: 'analysing', at: 0, device, ...begun });
    await recordRows(s, token, rows);
    await finishAnalysis(s, token);
    return token.taskId;
  }
  const courseOf = async (query: { analysis?: string } = {}) => {
    const course = await getRunAnalyses(s, actor, run, { kind: 'weights', ...query });
    if (course.kind !== 'weights') throw new Error(course.kind);
    return course;
  };
  const ranks = (course: Awaited<ReturnType<typeof courseOf>>) =>
    course.modules.flatMap(({ points }) => points.map(({ step, figures }) => [step, figures.rank_90]));

  test('is its course over checkpoints, of which those that are not measured yet are counted', async () => {
    expect(await courseOf()).toMatchObject({ analyses: [], modules: [], waiting: 3, lambda: 1 });
    const ids = [await measureNext(), await measureNext()];
    const course = await courseOf();
    expect(course).toMatchObject({ run_id: run, waiting: 1, others: [], analyses: ids.map((id) => ({ id })) });
    expect(ranks(course)).toEqual(course.analyses.map(({ step }) => [step, step]));
    expect(course.layers.map(({ layer, points }) => [layer, points.length])).toEqual([
      ['model.layers.0.mlp.up_proj', 2],
      ['model.layers.1.mlp.up_proj', 2],
    ]);
    expect(course.modules[0]?.points[0]?.control?.rank_90).toBe(12);
    await measureNext();
    expect(ranks(await courseOf())).toEqual([2, 4, 6].map((step) => [step, step]));
  });

  test('keeps other settings apart, which an analysis of them names, and takes the latest of a step', async () => {
    const half = { kind: 'weights', model, lambda: 0.5, pool };
    await createAnalysis(s, actor, { ...half, model: `${model}:ckpt-step-4` });
    const first = await measureNext();
    const usual = await courseOf();
    expect(usual.lambda).toBe(1);
    expect(usual.others).toEqual([{ analysis: first, ask: usual.ask, lambda: 0.5, steps: 1 }]);
    await createAnalysis(s, actor, { ...half, model: `${model}:ckpt-step-4`, metadata: { again: 'yes' } });
    const again = await measureNext();
    const course = await courseOf({ analysis: first });
    expect(course).toMatchObject({ lambda: 0.5, analyses: [{ id: again, step: 4 }], others: [{ steps: 3 }] });
    expect(course.modules[0]?.points[0]?.figures.largest_singular_value).toBe(0.5);
    await expect(courseOf({ analysis: 'analysis_none' })).rejects.toMatchObject({
      code: 'not_found',
      param: 'analysis',
    });
  });

  test('has the exposure of the base at step 0, whoever asked for that', async () => {
    const none = await getRunAnalyses(s, actor, run, { kind: 'canaries' });
    expect(none).toMatchObject({ ask: null, points: [], analyses: [] });
    for (const name of ['tiny', model]) await createAnalysis(s, actor, { kind: 'canaries', model: name, file, pool });
    for (let i = 0; i < 2; i++) await measureNext();
    const course = await getRunAnalyses(s, actor, run, { kind: 'canaries' });
    if (course.kind !== 'canaries') throw new Error(course.kind);
    expect(course.ceiling).toBe(10);
    expect(course.points.map(({ step, planted }) => [step, planted.exposure.mean])).toEqual([[0, 0], [6, 6]]); // biome-ignore format: one line
  });
});
