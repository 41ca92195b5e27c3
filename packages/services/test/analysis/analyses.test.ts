import { newId } from '@moraine/contract';
import { type CanaryRow, drawCanaries, summariseWeights, type WeightRow } from '@moraine/contract/analyses';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  type AttemptToken,
  cancelAnalysing,
  cancelAnalysis,
  cancelEvaluation,
  claimRun,
  createAnalysis,
  createBaseFromDir,
  createRun,
  deleteFile,
  deleteModel,
  deleteRun,
  failAttempt,
  finishAnalysis,
  finishAttempt,
  getAnalysis,
  getRun,
  listAnalyses,
  listAnalysisEvents,
  listAnalysisRows,
  listQueue,
  markAnalysing,
  recordCheckpoint,
  recordRows,
  type Services,
  startAnalysis,
  startAttempt,
} from '../../src/index.js';
import { expireLeases, markLostContact } from '../../src/reconcile/leases.js';
import { dropCheckpoints } from '../../src/training/drop-checkpoints.js';
import { seedWorker } from '../seed-run.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let canaries: string;
let run: { id: string; sha256: string; model: string };

const poolName = (): string => `p-${newId('run').slice(-6)}`;

/** A run with checkpoints at steps 2 and 4 that has succeeded; it keeps the last. An analysis of step 2 holds that. */
beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  const drawn = drawCanaries('digits', { count: 2, controls: 1, seed: 1 });
  const file = {
    format: 'moraine-canaries',
    format_version: 1,
    kind: 'digits',
    seed: 1,
    repeat: 1,
    row_format: 'chat',
  };
  canaries = (await uploadRows(s, actor, JSON.stringify({ ...file, ...drawn }, null, 2), 'evals', 'canaries.json')).id;
  const pool = poolName();
  const training = await uploadRows(s, actor, goodRows(64));
  const { id } = await createRun(s, actor, {
    model: 'tiny',
    training_file: training.id,
    pool,
    checkpoint: { keep_last: 1 },
  });
  const claim = await claimRun(s, { workerId: await seedWorker(s, pool), pool });
  if (claim?.kind !== 'train') throw new Error('no run');
  await startAttempt(s, claim.token, { startStep: 0 });
  await recordCheckpoint(s, claim.token, { step: 2, dir: await writeFolder({ 'state.json': '{}' }), metrics: {} });
  const early = await createAnalysis(s, actor, {
    kind: 'weights',
    model: `ft:tiny:default::${id.slice(-8)}:ckpt-step-2`,
  });
  await recordCheckpoint(s, claim.token, { step: 4, dir: await writeFolder({ 'state.json': '{4}' }), metrics: {} });
  await finishAttempt(s, claim.token, { step: 4, trainedTokens: 1 });
  run = { id, sha256: early.tuned?.sha256 ?? '', model: (await getRun(s, actor, id)).fine_tuned_model ?? '' };
  await cancelAnalysis(s, actor, early.id);
});

const asked = (body: object = {}) => ({ kind: 'weights', model: run.model, ...body });
const ofCanaries = (body: object = {}) => ({ kind: 'canaries', model: run.model, file: canaries, ...body });

async function claimed(pool: string, workerId?: string) {
  const claim = await claimRun(s, { workerId: workerId ?? (await seedWorker(s, pool)), pool });
  if (claim?.kind !== 'analyse') throw new Error(`claimed ${claim?.kind ?? 'nothing'}`);
  return claim;
}

async function taken(body: object = asked()) {
  const pool = poolName();
  const { id } = await createAnalysis(s, actor, { ...body, pool });
  return { id, pool, ...(await claimed(pool)) };
}

const weightRow = (index: number): WeightRow => {
  const figures = {
    rank_90: 2,
    stable_rank: 1.5,
    overlap: { k: 2, left: 0.25, right: 1 / 3 },
    cosines: [0.9, 0.2],
    intruders: 1,
  };
  return {
    source: run.model,
    step: 4,
    layer: `model.layers.${index}.self_attn.q_proj`,
    module: 'q_proj',
    shape: [16, 16],
    lambda: 1,
    from: 'factors',
    norm: 1 / 7 + index,
    relative_norm: 0.1,
    singular_values: [2 / 3 + index, 1e-7],
    epsilon: 0.5,
    ...figures,
    control: { ...figures, rank_90: 9 },
  };
};
const canaryRow = (index: number, patch: Partial<CanaryRow> = {}): CanaryRow => ({
  id: `planted-${index + 1}`,
  is_planted: index < 2,
  log_probability: -3.25,
  rank: 1,
  candidates: 1024,
  exposure: 10,
  answer: '12345678',
  is_extracted: true,
  characters: 1,
  ...patch,
});
const rowsOf = (count: number, from = 0) =>
  Array.from({ length: count }, (_, i) => ({ index: from + i, row: weightRow(from + i) }));

const analysing = (total: number, from = 0, others = 0) => ({
  type: 'analysing' as const,
  at: 0,
  device: { kind: 'cpu' as const, name: 'cpu', tensorflow: '2', threads: 1 },
  from,
  total,
  others,
  secondsToReady: 1,
});

const stored = async (id: string) =>
  (await listAnalysisRows(s, actor, id, { limit: 100, include: 'singular_values' })).data;
const messages = async (id: string) =>
  (await listAnalysisEvents(s, actor, id, { limit: 100 })).data.map(({ message }) => message).reverse();

test('a page with all singular values is no larger than memory allows', async () => {
  const { id } = await createAnalysis(s, actor, asked());
  const page = (limit: number) => listAnalysisRows(s, actor, id, { limit, include: 'singular_values' });
  await expect(page(101)).rejects.toMatchObject({ code: 'invalid_value', param: 'limit' });
  expect((await page(100)).data).toEqual([]);
  await cancelAnalysis(s, actor, id);
});

describe('a request', () => {
  test.each([
    [() => asked({ model: 'tiny' }), 'invalid_value', 'model', /is a base: nothing has changed its weights/],
    [() => ofCanaries({ model: 'tiny', lambda: 0.5 }), 'invalid_value', 'lambda', /is a base/],
    [() => asked({ model: 'tinny' }), 'not_found', 'model', /Did you mean 'tiny'\?/],
    [() => asked({ kind: 'weight' }), 'invalid_value', 'kind', /it must be "weights" or "canaries"/],
    [() => asked({ lambda: 1.5 }), 'invalid_value', 'lambda', /1/],
    [() => asked({ k: 0 }), 'invalid_value', 'k', /1/],
    [() => asked({ file: canaries }), 'unknown_key', 'file', /./],
    [() => asked({ epsilom: 0.5 }), 'unknown_key', 'epsilom', /epsilon/],
    [() => ofCanaries({ k: 3 }), 'unknown_key', 'k', /./],
    [() => ofCanaries({ file: 'file-gone' }), 'not_found', 'file', /No file/],
  ])('%# is refused with what, where and what to do', async (body, code, param, words) => {
    const before = await s.db.task.count();
    const error = await createAnalysis(s, actor, body()).catch((refusal: Error & { hint: string }) => refusal);
    expect(error).toMatchObject({ code, param });
    expect(`${'message' in error ? error.message : ''} ${'hint' in error ? error.hint : ''}`).toMatch(words);
    expect(await s.db.task.count()).toBe(before);
  });

  test.each([
    ['{"format":"moraine-canaries"}', /no file of canaries: format_version/],
    ['{"prompt":"a","completion":"b"}\n{"prompt":"a","completion":"b"}', /no file of canaries: .*JSON/],
    [
      JSON.stringify({
        ...{ format: 'moraine-canaries', format_version: 1, kind: 'own', seed: 1, repeat: 1, row_format: 'text' },
        ...{ planted: [{ id: 'a', prompt: 'x', value: 'é' }], controls: [] },
      }),
      /planted\.0\.value: the value "é" has too few digits and letters/,
    ],
  ])('for canaries names a file that holds none: %s', async (text, words) => {
    const { id } = await uploadRows(s, actor, text, 'evals', 'other.json');
    await expect(createAnalysis(s, actor, ofCanaries({ file: id }))).rejects.toMatchObject({
      code: 'invalid_file',
      param: 'file',
      message: words,
      hint: expect.stringContaining('canaries plant'),
    });
  });

  test('is stored with every setting, bound to hash and step; under an idempotency key once', async () => {
    const repeatable = { idempotencyKey: newId('run') };
    const body = asked({ layers: 'mlp', metadata: { team: 'a' }, priority: 70, lambda: 0.5 });
    const created = await createAnalysis(s, actor, body, repeatable);
    expect(created).toMatchObject({
      object: 'analysis.task',
      status: 'queued',
      model: run.model,
      base: 'tiny',
      tuned: { run_id: run.id, step: 4 },
      lambda: 0.5,
      ask: { kind: 'weights', layers: 'mlp', k: 10, epsilon: 0.5, seed: 0 },
      progress: { rows: 0, total: null },
      summary: null,
      metadata: { team: 'a' },
      priority: 70,
    });
    expect((await createAnalysis(s, actor, body, repeatable)).id).toBe(created.id);
    await expect(createAnalysis(s, actor, asked({ k: 3 }), repeatable)).rejects.toMatchObject({ code: 'conflict' });
    expect((await createAnalysis(s, actor, body, { retryCount: 1 })).id).toBe(created.id);
    expect(await messages(created.id)).toEqual([`Created analysis: ${created.id}`]);
    await cancelAnalysis(s, actor, created.id);
  });
});

describe('an analysis', () => {
  test('of weights is claimed with its inputs, says how far it is, and ends with the means of its rows', async () => {
    const { id, token, job } = await taken();
    expect(job).toMatchObject({ base: { name: 'tiny' }, model: run.model, step: 4, lambda: 1, file: null, done: 0 });
    await startAnalysis(s, token, job.done);
    await markAnalysing(s, token, analysing(3, 0, 2));
    await recordRows(s, token, rowsOf(2));
    expect(await getAnalysis(s, actor, id)).toMatchObject({ status: 'running', progress: { rows: 2, total: 3 } });
    await recordRows(s, token, rowsOf(1, 2));
    for (let i = 0; i < 2; i++) await finishAnalysis(s, token);
    const ended = await getAnalysis(s, actor, id);
    const rows = rowsOf(3);
    expect(ended).toMatchObject({
      status: 'succeeded',
      summary: { kind: 'weights', modules: summariseWeights(rows.map(({ row }) => row)) },
    });
    expect(await stored(id)).toEqual(rows);
    const [first] = (await listAnalysisRows(s, actor, id, { limit: 1 })).data;
    const { singular_values: _, ...figures } = weightRow(0);
    expect(first).toEqual({ index: 0, row: figures });
    expect((await messages(id)).slice(1)).toEqual([
      'The analysis starts: 3 rows on cpu (TensorFlow 2, 1 threads); 2 more weights (norms, embeddings, head) are not measured',
      'The analysis succeeded: 3 layers of 1 kinds',
    ]);
  });

  test('of canaries is claimed with its file and ends with exposure beside the controls', async () => {
    const { id, token, job } = await taken(ofCanaries({ model: 'tiny' }));
    expect(job).toMatchObject({ tuned: null, step: null, file: { id: canaries, name: 'canaries.json' } });
    await markAnalysing(s, token, analysing(3));
    const odd = { rank: 512, exposure: 1, is_extracted: false, answer: 'a\u0000b\ud800' };
    const rows = [canaryRow(0), canaryRow(1), canaryRow(2, odd)].map((row, index) => ({ index, row }));
    await recordRows(s, token, rows);
    await finishAnalysis(s, token);
    expect((await getAnalysis(s, actor, id)).summary).toMatchObject({
      kind: 'canaries',
      ceiling: 10,
      planted: { n: 2, exposure: { mean: 10 }, extracted: { count: 2 } },
      controls: { n: 1, extracted: { count: 0 } },
    });
    expect((await stored(id)).map(({ row }) => row)).toEqual([
      canaryRow(0),
      canaryRow(1),
      canaryRow(2, { ...odd, answer: 'a\ufffdb\ufffd' }),
    ]);
    expect((await messages(id)).at(-1)).toBe(
      'The analysis succeeded: exposure 10.00 of 10 bits, 2 of 2 canaries written whole',
    );
  });

  test('whose worker is lost goes on after the rows that are stored; what the older attempt sends is refused', async () => {
    const { id, pool, token } = await taken();
    await startAnalysis(s, token, 0);
    await markAnalysing(s, token, analysing(4));
    await recordRows(s, token, rowsOf(2));
    await s.pg.query(`UPDATE attempts SET lease_expires_at = now() - interval '5 seconds' WHERE task_id = $1`, [id]);
    await markLostContact(s);
    await expireLeases(s);
    const next = await claimed(pool, token.workerId);
    expect([next.token.attempt, next.job.done]).toEqual([2, 2]);
    const writes: Record<string, (stale: AttemptToken) => Promise<void>> = {
      start: (stale) => startAnalysis(s, stale, 0),
      running: (stale) => markAnalysing(s, stale, analysing(9)),
      rows: (stale) => recordRows(s, stale, rowsOf(2, 2)),
      finish: (stale) => finishAnalysis(s, stale),
      cancel: (stale) => cancelAnalysing(s, stale),
    };
    for (const [name, write] of Object.entries(writes))
      await expect(write(token), name).rejects.toMatchObject({ code: 'stale_attempt' });
    await startAnalysis(s, next.token, 2);
    await markAnalysing(s, next.token, analysing(4, 2));
    // What was sent before and what is new: each is there once, as it was.
    const changed = { ...weightRow(1), norm: 99, singular_values: [99] };
    await recordRows(s, next.token, [{ index: 1, row: changed }, ...rowsOf(2, 2)]);
    await finishAnalysis(s, next.token);
    expect(await stored(id)).toEqual(rowsOf(4));
    expect(await messages(id)).toContainEqual(
      'Contact with worker w was lost. The analysis is queued again and goes on from its last row.',
    );
    expect(await messages(id)).toContainEqual('The analysis goes on after row 2 of 4 on cpu (TensorFlow 2, 1 threads)');
  });

  test('does not take rows behind a hole, does not succeed without all of them, and keeps them where it fails', async () => {
    const { id, token } = await taken();
    await markAnalysing(s, token, analysing(3));
    await recordRows(s, token, rowsOf(1));
    await expect(recordRows(s, token, rowsOf(1, 2))).rejects.toMatchObject({ code: 'internal' });
    await expect(finishAnalysis(s, token)).rejects.toMatchObject({ code: 'internal', message: /^1 of 3 rows/ });
    await failAttempt(s, token, { cause: 'user_data', code: 'invalid_base', message: 'Damaged.' });
    expect(await getAnalysis(s, actor, id)).toMatchObject({ status: 'failed', error: { message: 'Damaged.' } });
    expect(await stored(id)).toEqual(rowsOf(1));
  });

  test('that is cancelled ends at once where it waits, and when its worker says so where it runs', async () => {
    const waiting = await createAnalysis(s, actor, asked({ pool: poolName() }));
    expect((await cancelAnalysis(s, actor, waiting.id)).status).toBe('cancelled');
    await expect(cancelAnalysis(s, actor, waiting.id)).rejects.toMatchObject({
      code: 'conflict',
      param: 'analysis_id',
      hint: 'A finished analysis never changes.',
    });
    const { id, token } = await taken();
    await markAnalysing(s, token, analysing(1));
    expect((await cancelAnalysis(s, actor, id)).state).toBe('cancelling');
    await expect(cancelEvaluation(s, actor, id)).rejects.toMatchObject({ code: 'not_found' });
    await finishAnalysis(s, token);
    expect(await getAnalysis(s, actor, id)).toMatchObject({ status: 'cancelled', summary: null });
  });
});

test('lists come in pages, newest first, by kind, run, model and status; the queue says what waits', async () => {
  const pool = poolName();
  const ids: string[] = [];
  for (let k = 1; k <= 3; k++)
    ids.unshift((await createAnalysis(s, actor, ofCanaries({ pool, metadata: { k: `${k}` } }))).id);
  const queue = await listQueue(s, actor, { limit: 10, pool });
  expect(queue.data[0]).toMatchObject({ kind: 'analyse', name: `canaries of ${run.model}`, run_id: null });
  await cancelAnalysis(s, actor, ids[1] ?? '');
  const list = (query: object) => listAnalyses(s, actor, { limit: 2, kind: 'canaries', run: run.id, ...query });
  const first = await list({});
  expect([first.data.map(({ id }) => id), first.has_more]).toEqual([ids.slice(0, 2), true]);
  expect((await list({ after: first.last_id })).data.map(({ id }) => id)).toEqual(ids.slice(2));
  expect((await list({ status: 'cancelled' })).data.map(({ id }) => id)).toEqual([ids[1]]);
  expect((await list({ kind: 'weights' })).data.every(({ ask }) => ask.kind === 'weights')).toBe(true);
  for (const other of [{ model: 'other' }, { run: 'other' }]) expect((await list(other)).data).toEqual([]);
  await expect(list({ after: 'analysis_gone' })).rejects.toMatchObject({ code: 'invalid_value', param: 'after' });
  for (const id of [ids[0], ids[2]]) await cancelAnalysis(s, actor, id ?? '');
});

describe('what an analysis is about', () => {
  test('stays while it is needed: checkpoint, run, file and base', async () => {
    const held = await createAnalysis(s, actor, asked({ pool: poolName() }));
    const [kept] = await s.db.checkpoint.findMany({ where: { runId: run.id, step: 2 } });
    expect(kept).toMatchObject({ sha256: run.sha256 });
    // Held at step 2, too, while only the last checkpoint is kept.
    await s.db.checkpoint.update({ where: { id: kept?.id ?? '' }, data: { deletedAt: null } });
    const ofStep = await createAnalysis(s, actor, asked({ model: `${run.model}:ckpt-step-2`, pool: poolName() }));
    await dropCheckpoints(s, run.id);
    const steps = async () =>
      (await s.db.checkpoint.findMany({ where: { runId: run.id, deletedAt: null } })).map(({ step }) => step).sort();
    expect(await steps()).toEqual([2, 4]);
    await cancelAnalysis(s, actor, ofStep.id);
    await dropCheckpoints(s, run.id);
    expect(await steps()).toEqual([4]);
    await expect(deleteRun(s, actor, run.id)).rejects.toMatchObject({
      code: 'conflict',
      hint: expect.stringContaining(`POST /v1/analyses/${held.id}/cancel`),
    });
    await cancelAnalysis(s, actor, held.id);
    await createBaseFromDir(s, actor, { name: 'other', dir: await writeFolder(tinyFiles()) });
    const { id } = await createAnalysis(s, actor, ofCanaries({ model: 'other', pool: poolName() }));
    for (const remove of [() => deleteFile(s, actor, canaries), () => deleteModel(s, actor, 'other')])
      await expect(remove()).rejects.toMatchObject({
        code: 'conflict',
        hint: `Wait for that analysis, or cancel it: POST /v1/analyses/${id}/cancel.`,
      });
    await cancelAnalysis(s, actor, id);
    await deleteModel(s, actor, 'other');
    expect(await getAnalysis(s, actor, id)).toMatchObject({ model: 'other', base: 'other', status: 'cancelled' });
  });

  test('and is not what it was any more, ends it with a reason', async () => {
    const pool = poolName();
    const { id } = await createAnalysis(s, actor, asked({ pool }));
    await s.pg.query(`UPDATE checkpoints SET sha256 = 'other' WHERE run_id = $1`, [run.id]);
    expect(await claimRun(s, { workerId: await seedWorker(s, pool), pool })).toBeNull();
    expect(await getAnalysis(s, actor, id)).toMatchObject({
      status: 'failed',
      error: { code: 'conflict', message: expect.stringContaining('is not what it was when the analysis was created') },
    });
  });
});
