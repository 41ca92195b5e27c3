import { newId } from '@moraine/contract';
import type { EvaluationItem } from '@moraine/contract/suites';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  type AttemptToken,
  cancelEvaluating,
  cancelEvaluation,
  cancelRun,
  claimRun,
  compareEvaluations,
  createBaseFromDir,
  createEvaluation,
  createRun,
  deleteFile,
  deleteModel,
  deleteRun,
  failAttempt,
  finishAttempt,
  finishEvaluation,
  getEvaluation,
  getRun,
  listEvaluationEvents,
  listEvaluationItems,
  listEvaluationTasks,
  listQueue,
  listWorkers,
  markEvaluating,
  recordCheckpoint,
  recordItems,
  type Services,
  startAttempt,
  startEvaluation,
} from '../../src/index.js';
import { expireLeases, markLostContact } from '../../src/reconcile/leases.js';
import { collectExpiredFiles } from '../../src/reconcile/orphans.js';
import { dropCheckpoints } from '../../src/training/drop-checkpoints.js';
import { seedWorker } from '../seed-run.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from '../tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let file: string;
const asked = (body: object = {}) => ({ model: 'tiny', suite: 'arc_easy', file, ...body });

beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  file = (await uploadRows(s, actor, '{"query":"q","choices":["a","b"],"gold":0}', 'evals')).id;
});

const poolName = (): string => `p-${newId('run').slice(-6)}`;

async function claimed(pool: string, workerId?: string) {
  const claim = await claimRun(s, { workerId: workerId ?? (await seedWorker(s, pool)), pool });
  if (claim?.kind !== 'evaluate') throw new Error(`claimed ${claim?.kind ?? 'nothing'}`);
  return claim;
}

/** A queued evaluation in a pool of its own, and its claim. */
async function taken(body: object = {}) {
  const pool = poolName();
  const { id } = await createEvaluation(s, actor, asked({ ...body, pool }));
  return { id, pool, ...(await claimed(pool)) };
}

const itemAt = (index: number, isRight: boolean, patch: Partial<EvaluationItem> = {}): EvaluationItem => ({
  index,
  id: `row-${index}`,
  prompt: `Question ${index}`,
  choices: ['a', 'b'],
  scores: [-1 / 3 - index, -0.1],
  answer: isRight ? 'a' : 'b',
  expected: 'a',
  metrics: { acc: isRight ? 1 : 0, acc_norm: isRight ? 1 : 0 },
  verdict: isRight ? 'right' : 'wrong',
  ...patch,
});
const itemsOf = (rights: readonly boolean[], from = 0) => rights.map((isRight, i) => itemAt(from + i, isRight));

const evaluating = (total: number, patch: object = {}) => ({
  type: 'evaluating' as const,
  at: 0,
  device: { kind: 'cpu' as const, name: 'cpu', tensorflow: '2', threads: 1 },
  from: 0,
  total,
  itemsSha256: 'items',
  fewshot: 0,
  secondsToReady: 1,
  ...patch,
});

/** An evaluation that has succeeded with these verdicts. */
async function succeeded(rights: readonly boolean[], patch: object = {}, body: object = {}): Promise<string> {
  const { id, token } = await taken(body);
  await startEvaluation(s, token, 0);
  await markEvaluating(s, token, evaluating(rights.length, patch));
  await recordItems(s, token, itemsOf(rights));
  await finishEvaluation(s, token);
  return id;
}

const stored = async (id: string) => (await listEvaluationItems(s, actor, id, { limit: 1000 })).data;
const messages = async (id: string) =>
  (await listEvaluationEvents(s, actor, id, { limit: 100 })).data.map(({ message }) => message).reverse();

describe('a request', () => {
  test.each([
    [{ suite: 'arc_eassy' }, 'invalid_value', 'suite', /Did you mean 'arc_easy'\?/],
    [{ model: 'tinny' }, 'not_found', 'model', /Did you mean 'tiny'\?/],
    [{ model: 'ft:tiny:default::00000000' }, 'not_found', 'model', /No model/],
    [{ file: 'file-gone' }, 'not_found', 'file', /No file 'file-gone'/],
    [{ lambda: 0.5 }, 'invalid_value', 'lambda', /is a base/],
    [{ lambda: 1.5 }, 'invalid_value', 'lambda', /1/],
    [{ seed: 3 }, 'invalid_value', 'seed', /'limit' names none/],
    [{ limit: 0 }, 'invalid_value', 'limit', /1/],
    [{ sampling: { samples: 4 } }, 'invalid_value', 'sampling', /are scored, not answered/],
    [{ suite: 'answers', sampling: { samples: 4, ks: [1, 8] } }, 'invalid_value', 'sampling.ks', /pass@8 of 4 samples/],
    [{ suite: 'answers', sampling: { samples: 4, temperature: 0 } }, 'invalid_value', 'sampling.temperature', /0/],
    [{ suite: 'answers', sampling: { samples: 4, topp: 1 } }, 'unknown_key', 'sampling.topp', /top_p/],
    [{ examples: 'file-gone', fewshot: 2 }, 'not_found', 'examples', /No file/],
    [{ examples: 'file-gone' }, 'invalid_value', 'examples', /no example is shown/],
    [{ suite: 'file', fewshot: 1 }, 'invalid_value', 'fewshot', /cannot be examples/],
    [{ metadata: { a: 1 } }, 'invalid_value', 'metadata.a', /./],
    [{ modle: 'tiny' }, 'unknown_key', 'modle', /model/],
    [{ pool: '-' }, 'invalid_value', 'pool', /letters/],
  ])('%j is refused with what, where and what to do', async (body, code, param, words) => {
    const before = await s.db.task.count();
    await expect(createEvaluation(s, actor, asked(body))).rejects.toMatchObject({ code, param });
    const error = await createEvaluation(s, actor, asked(body)).catch(
      (refusal: { message: string; hint: string }) => refusal,
    );
    expect(`${'message' in error ? error.message : ''} ${'hint' in error ? error.hint : ''}`).toMatch(words);
    expect(await s.db.task.count()).toBe(before);
  });

  test('for plain rows names a file that was found to be none', async () => {
    const bad = await uploadRows(s, actor, '{"prompt":1}');
    await expect(createEvaluation(s, actor, asked({ suite: 'file', file: bad.id }))).rejects.toMatchObject({
      code: 'invalid_file',
      param: 'file',
    });
    await expect(createEvaluation(s, actor, asked({ file: bad.id }))).resolves.toMatchObject({ status: 'queued' });
  });

  test('under an idempotency key makes one evaluation; the key for another request is refused', async () => {
    const repeatable = { idempotencyKey: newId('run') };
    const first = await createEvaluation(s, actor, asked({ limit: 5 }), repeatable);
    expect((await createEvaluation(s, actor, asked({ limit: 5 }), repeatable)).id).toBe(first.id);
    await expect(createEvaluation(s, actor, asked({ limit: 6 }), repeatable)).rejects.toMatchObject({
      code: 'conflict',
    });
    const again = await createEvaluation(s, actor, asked({ limit: 5 }), { retryCount: 1 });
    expect(again.id).toBe(first.id);
  });

  test('is stored as it was asked, with what it does not say', async () => {
    const created = await createEvaluation(
      s,
      actor,
      asked({ limit: 9, seed: 4, metadata: { team: 'a' }, priority: 70 }),
    );
    expect(created).toMatchObject({
      object: 'evaluation.task',
      status: 'queued',
      model: 'tiny',
      base: 'tiny',
      tuned: null,
      lambda: 1,
      suite: 'arc_easy',
      file,
      examples: null,
      fewshot: null,
      limit: 9,
      seed: 4,
      metadata: { team: 'a' },
      priority: 70,
      progress: { items: 0, total: null },
      summary: null,
      attempts: [],
    });
    expect(await messages(created.id)).toEqual([`Created evaluation: ${created.id}`]);
  });
});

describe('an evaluation', () => {
  test('is claimed with its inputs, says how far it is, and ends with the figures of its items', async () => {
    const { id, pool, token, job } = await taken({ limit: 3 });
    expect(job).toMatchObject({ base: { name: 'tiny' }, tuned: null, suite: 'arc_easy', limit: 3, done: 0 });
    expect(job.file).toMatchObject({ id: file, name: 'rows.jsonl' });
    await startEvaluation(s, token, job.done);
    const { data } = await listWorkers(s, actor);
    expect(data.find((worker) => worker.pool === pool)).toMatchObject({ run_id: null, task_id: id, attempt: null });
    await markEvaluating(s, token, evaluating(3, { fewshot: 2 }));
    const items = itemsOf([true, false, true]);
    await recordItems(s, token, items.slice(0, 2));
    expect(await getEvaluation(s, actor, id)).toMatchObject({
      status: 'running',
      state: null,
      progress: { items: 2, total: 3 },
      items_sha256: 'items',
      fewshot: 2,
    });
    await recordItems(s, token, items.slice(2));
    for (let i = 0; i < 2; i++) await finishEvaluation(s, token);
    const ended = await getEvaluation(s, actor, id);
    expect(ended).toMatchObject({ status: 'succeeded', error: null, progress: { items: 3, total: 3 } });
    expect(ended.summary).toMatchObject({ suite: 'arc_easy', n: 3, metric: 'acc_norm' });
    expect(ended.summary?.metrics.acc_norm).toMatchObject({ value: 2 / 3, chance: 0.5 });
    expect(await stored(id)).toEqual(items);
    expect((await messages(id)).slice(1)).toEqual([
      'The evaluation starts: 3 items on cpu (TensorFlow 2, 1 threads)',
      'The evaluation succeeded: acc_norm 66.67 % on 3 items',
    ]);
  });

  test('whose worker is lost goes on after the items that are stored; what the older attempt sends is refused', async () => {
    const { id, pool, token } = await taken();
    await startEvaluation(s, token, 0);
    await markEvaluating(s, token, evaluating(4));
    await recordItems(s, token, itemsOf([true, false]));
    await s.pg.query(`UPDATE attempts SET lease_expires_at = now() - interval '5 seconds' WHERE task_id = $1`, [id]);
    await markLostContact(s);
    await expireLeases(s);
    const next = await claimed(pool, token.workerId);
    expect(next.token).toMatchObject({ attempt: 2, workerId: token.workerId });
    expect(next.job.done).toBe(2);
    const writes: Record<string, (stale: AttemptToken) => Promise<void>> = {
      start: (stale) => startEvaluation(s, stale, 0),
      running: (stale) => markEvaluating(s, stale, evaluating(9)),
      items: (stale) => recordItems(s, stale, itemsOf([true, true], 2)),
      finish: (stale) => finishEvaluation(s, stale),
      cancel: (stale) => cancelEvaluating(s, stale),
    };
    for (const [name, write] of Object.entries(writes))
      await expect(write(token), name).rejects.toMatchObject({ code: 'stale_attempt' });
    await startEvaluation(s, next.token, 2);
    await markEvaluating(s, next.token, evaluating(4, { from: 2 }));
    // What was sent before and what is new: each is there once, as it was.
    await recordItems(s, next.token, [itemAt(1, true), ...itemsOf([false, true], 2)]);
    await finishEvaluation(s, next.token);
    expect(await stored(id)).toEqual([...itemsOf([true, false]), ...itemsOf([false, true], 2)]);
    const ended = await getEvaluation(s, actor, id);
    expect(ended.attempts).toMatchObject([
      { status: 'lost', start_step: 0 },
      { status: 'finished', start_step: 2 },
    ]);
    expect(await messages(id)).toContainEqual(
      'Contact with worker w was lost. The evaluation is queued again and goes on from its last item.',
    );
    expect(await messages(id)).toContainEqual(
      'The evaluation goes on after item 2 of 4 on cpu (TensorFlow 2, 1 threads)',
    );
  });

  test('does not take items behind a hole, and does not succeed without all of them', async () => {
    const { id, token } = await taken();
    await startEvaluation(s, token, 0);
    await markEvaluating(s, token, evaluating(3));
    await recordItems(s, token, itemsOf([true]));
    await expect(recordItems(s, token, itemsOf([true], 2))).rejects.toMatchObject({ code: 'internal' });
    await expect(finishEvaluation(s, token)).rejects.toMatchObject({ code: 'internal', message: /^1 of 3 items/ });
    expect(await getEvaluation(s, actor, id)).toMatchObject({ status: 'running', progress: { items: 1 } });
  });

  test('that fails keeps its items and its reason', async () => {
    const { id, token } = await taken();
    await markEvaluating(s, token, evaluating(2));
    await recordItems(s, token, itemsOf([true]));
    const failure = { cause: 'user_config', code: 'runtime_missing', message: 'No sandbox is installed.' } as const;
    expect(await failAttempt(s, token, failure)).toBe('failed');
    expect(await getEvaluation(s, actor, id)).toMatchObject({
      status: 'failed',
      error: { code: 'runtime_missing', message: 'No sandbox is installed.' },
      summary: null,
    });
    expect(await stored(id)).toHaveLength(1);
  });

  test('of samples keeps how they were drawn and each of them, which a page shows when it is asked to', async () => {
    const sampling = { samples: 2, temperature: 0.5 };
    const body = { suite: 'answers', sampling };
    const { id, token, job } = await taken(body);
    const whole = { ...sampling, top_p: 1, seed: 0, ks: [1, 2] };
    expect(job.sampling).toEqual(whole);
    expect((await getEvaluation(s, actor, id)).sampling).toEqual(whole);
    const samples = [
      { answer: 'a', verdict: 'right' as const },
      { answer: 'b\u0000', verdict: 'wrong' as const, problem: 'It failed.' },
    ];
    const drawn = (index: number, share: number) =>
      itemAt(index, true, { metrics: { exact_match: share, 'pass@2': 1, unique_answers: 2 }, samples });
    const play = async (attempt: AttemptToken) => {
      await startEvaluation(s, attempt, 0);
      await markEvaluating(s, attempt, evaluating(2));
      await recordItems(s, attempt, [drawn(0, 0.5), drawn(1, 0.5)]);
      await finishEvaluation(s, attempt);
    };
    await play(token);
    expect((await stored(id))[0]).not.toHaveProperty('samples');
    const [first] = (await listEvaluationItems(s, actor, id, { limit: 1, include: 'samples' })).data;
    expect(first?.samples).toEqual([samples[0], { ...samples[1], answer: 'b\ufffd' }]);
    await expect(listEvaluationItems(s, actor, id, { limit: 101, include: 'samples' })).rejects.toMatchObject({
      code: 'invalid_value',
      param: 'limit',
    });
    expect((await getEvaluation(s, actor, id)).summary?.metrics).toMatchObject({
      exact_match: { value: 0.5 },
      unique_answers: { value: 2, interval: null },
    });
    const same = await taken(body);
    await play(same.token);
    // Half of the samples of an item is no verdict: nobody alone got it right.
    const compared = await compareEvaluations(s, actor, id, { with: same.id, limit: 1 });
    expect(compared).toMatchObject({ metric: 'exact_match', difference: 0, verdicts: null });
    const other = await taken({ suite: 'answers' });
    await play(other.token);
    await expect(compareEvaluations(s, actor, id, { with: other.id, limit: 1 })).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('sampling is {"ks":[1,2],'),
    });
  });

  test('stores what a model writes that Postgres cannot', async () => {
    const { id, token } = await taken();
    await markEvaluating(s, token, evaluating(1));
    await recordItems(s, token, [itemAt(0, false, { answer: 'a\u0000b\ud800' })]);
    expect((await stored(id))[0]?.answer).toBe('a\ufffdb\ufffd');
  });
});

describe('cancel', () => {
  test('one that waits at once, one that runs when its worker says so, one that has ended never', async () => {
    const waiting = await createEvaluation(s, actor, asked({ pool: poolName() }));
    expect((await cancelEvaluation(s, actor, waiting.id)).status).toBe('cancelled');
    expect((await messages(waiting.id)).at(-1)).toBe('The evaluation was cancelled');
    await expect(cancelEvaluation(s, actor, waiting.id)).rejects.toMatchObject({
      code: 'conflict',
      param: 'evaluation_id',
      hint: 'A finished evaluation never changes.',
    });
    const { id, token } = await taken();
    await markEvaluating(s, token, evaluating(2));
    for (let i = 0; i < 2; i++) expect((await cancelEvaluation(s, actor, id)).state).toBe('cancelling');
    // The child had ended before it heard of it.
    await finishEvaluation(s, token);
    expect(await getEvaluation(s, actor, id)).toMatchObject({ status: 'cancelled', summary: null });
  });

  test('of a run does not end an evaluation, nor the other way round', async () => {
    const { id } = await createEvaluation(s, actor, asked({ pool: poolName() }));
    await expect(cancelRun(s, actor, id)).rejects.toMatchObject({ code: 'not_found', param: 'fine_tuning_job_id' });
    expect((await getEvaluation(s, actor, id)).status).toBe('queued');
    const { id: run } = await queuedRun();
    await expect(cancelEvaluation(s, actor, run)).rejects.toMatchObject({ code: 'not_found', param: 'evaluation_id' });
    expect((await getRun(s, actor, run)).status).toBe('queued');
  });
});

describe('a list', () => {
  test('comes in pages, newest first, by model, suite and status', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 3; i++)
      ids.unshift((await createEvaluation(s, actor, asked({ suite: 'mmlu', limit: i + 1 }))).id);
    await cancelEvaluation(s, actor, ids[1] ?? '');
    const list = (query: object) => listEvaluationTasks(s, actor, { limit: 2, suite: 'mmlu', ...query });
    const first = await list({});
    expect([first.data.map(({ id }) => id), first.has_more]).toEqual([ids.slice(0, 2), true]);
    const second = await list({ after: first.last_id });
    expect([second.data.map(({ id }) => id), second.has_more]).toEqual([ids.slice(2), false]);
    expect((await list({ status: 'cancelled' })).data.map(({ id }) => id)).toEqual([ids[1]]);
    expect((await list({ model: 'other' })).data).toEqual([]);
    await expect(list({ after: 'evaltask_gone' })).rejects.toMatchObject({ code: 'invalid_value', param: 'after' });
  });

  test('of items comes in pages, and by verdict', async () => {
    const id = await succeeded([true, false, false, true]);
    const list = (query: object) => listEvaluationItems(s, actor, id, { limit: 2, ...query });
    const first = await list({});
    expect([first.data.map(({ index }) => index), first.has_more]).toEqual([[0, 1], true]);
    const second = await list({ after: 1 });
    expect([second.data.map(({ index }) => index), second.has_more]).toEqual([[2, 3], false]);
    expect((await list({ verdict: 'wrong' })).data.map(({ index }) => index)).toEqual([1, 2]);
  });

  test('of what waits says that it is an evaluation, of what, and how far it came', async () => {
    const pool = poolName();
    const { id } = await createEvaluation(s, actor, asked({ pool }));
    const { data } = await listQueue(s, actor, { limit: 10, pool });
    expect(data).toMatchObject([{ id, kind: 'evaluate', run_id: null, name: 'arc_easy of tiny', position: 1 }]);
    const { token } = await claimed(pool);
    await markEvaluating(s, token, evaluating(4));
    await recordItems(s, token, itemsOf([true, true]));
    await failAttempt(s, token, { cause: 'hardware', code: 'process_killed', message: 'Killed.' });
    await s.pg.query('UPDATE tasks SET queued_at = now() WHERE id = $1', [id]);
    const [again] = (await listQueue(s, actor, { limit: 10, pool })).data;
    expect(again?.reason.message).toContain('it is next. It goes on after attempt 1, which reached item 2.');
  });
});

async function queuedRun() {
  const pool = poolName();
  const training = await uploadRows(s, actor, goodRows(64));
  return createRun(s, actor, { model: 'tiny', training_file: training.id, pool, checkpoint: { keep_last: 1 } });
}

/** A run with checkpoints at steps 2 and 4 that has succeeded; its folder of step 2 is one that nothing else needs. */
async function endedRun() {
  const { id, pool } = await queuedRun();
  const claim = await claimRun(s, { workerId: await seedWorker(s, pool), pool });
  if (claim?.kind !== 'train') throw new Error('no run');
  await startAttempt(s, claim.token, { startStep: 0 });
  const dir = await writeFolder({ 'state.json': '{}' });
  await recordCheckpoint(s, claim.token, { step: 2, dir, metrics: {} });
  const names = await s.db.checkpoint.findMany({ where: { runId: id } });
  const finish = async () => {
    await recordCheckpoint(s, claim.token, { step: 4, dir: await writeFolder({ 'state.json': '{4}' }), metrics: {} });
    await finishAttempt(s, claim.token, { step: 4, trainedTokens: 1 });
    return (await getRun(s, actor, id)).fine_tuned_model ?? '';
  };
  const name = `ft:tiny:default::${id.slice(-8)}`;
  return { id, name, finish, sha256: names[0]?.sha256 };
}

describe('what an evaluation asks', () => {
  test('is bound to the hash and the step of a checkpoint, which stays while it is needed, and its run too', async () => {
    const run = await endedRun();
    const ofStep = await createEvaluation(
      s,
      actor,
      asked({ model: `${run.name}:ckpt-step-2`, lambda: 0.5, pool: poolName() }),
    );
    expect(ofStep).toMatchObject({ lambda: 0.5, tuned: { run_id: run.id, sha256: run.sha256, step: 2 } });
    const model = await run.finish();
    const ofResult = await createEvaluation(s, actor, asked({ model, pool: poolName() }));
    expect(ofResult.tuned).toMatchObject({ run_id: run.id, step: 4 });
    const steps = async () =>
      (await s.db.checkpoint.findMany({ where: { runId: run.id, deletedAt: null } })).map(({ step }) => step).sort();
    expect(await steps()).toEqual([2, 4]);
    await expect(deleteRun(s, actor, run.id)).rejects.toMatchObject({
      code: 'conflict',
      hint: expect.stringContaining('/v1/evaluations/evaltask_'),
    });
    await cancelEvaluation(s, actor, ofStep.id);
    await dropCheckpoints(s, run.id);
    expect(await steps()).toEqual([4]);
    await cancelEvaluation(s, actor, ofResult.id);
    await expect(deleteRun(s, actor, run.id)).resolves.toMatchObject({ deleted: true });
  });

  test('and is not what it was any more, ends it with a reason', async () => {
    const run = await endedRun();
    const pool = poolName();
    const changed = await createEvaluation(s, actor, asked({ model: await run.finish(), pool }));
    await s.pg.query(`UPDATE checkpoints SET sha256 = 'other' WHERE run_id = $1`, [run.id]);
    expect(await claimRun(s, { workerId: await seedWorker(s, pool), pool })).toBeNull();
    expect(await getEvaluation(s, actor, changed.id)).toMatchObject({
      status: 'failed',
      error: { code: 'conflict', message: expect.stringContaining('is not what it was') },
    });
  });

  test('cannot be deleted until it has ended: files, expired ones too, and the base', async () => {
    const mine = await uploadRows(s, actor, '{"query":"q","choices":["a"],"gold":0}', 'evals', 'mine.jsonl');
    const examples = await uploadRows(s, actor, '{"query":"e","choices":["a"],"gold":0}', 'evals', 'examples.jsonl');
    await createBaseFromDir(s, actor, { name: 'other', dir: await writeFolder(tinyFiles()) });
    const body = { model: 'other', file: mine.id, examples: examples.id, fewshot: 1, pool: poolName() };
    const { id } = await createEvaluation(s, actor, asked(body));
    for (const one of [mine.id, examples.id])
      await expect(deleteFile(s, actor, one)).rejects.toMatchObject({
        code: 'conflict',
        message: `${one} is needed by ${id}, which is queued.`,
        hint: `Wait for that evaluation, or cancel it: POST /v1/evaluations/${id}/cancel.`,
      });
    await s.db.file.update({ where: { id: mine.id }, data: { expiresAt: new Date(0) } });
    await collectExpiredFiles(s);
    expect((await s.db.file.findUniqueOrThrow({ where: { id: mine.id } })).deletedAt).toBeNull();
    await expect(deleteModel(s, actor, 'other')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(id),
    });
    await cancelEvaluation(s, actor, id);
    await collectExpiredFiles(s);
    expect((await s.db.file.findUniqueOrThrow({ where: { id: mine.id } })).deletedAt).not.toBeNull();
    await deleteModel(s, actor, 'other');
    expect(await getEvaluation(s, actor, id)).toMatchObject({ model: 'other', base: 'other', status: 'cancelled' });
  });
});

describe('two evaluations', () => {
  const rights = (count: number, isRight: (i: number) => boolean) =>
    Array.from({ length: count }, (_, i) => isRight(i));

  test('of the same items are paired: difference, interval, p and the items that differ', async () => {
    const one = await succeeded(rights(40, (i) => i !== 0));
    const other = await succeeded(rights(40, (i) => i % 4 === 0));
    const compared = await compareEvaluations(s, actor, one, { with: other, limit: 3 });
    expect(compared).toMatchObject({
      suite: 'arc_easy',
      metric: 'acc_norm',
      n: 40,
      value: 39 / 40,
      baseline_value: 10 / 40,
      verdicts: { both_right: 9, only_evaluation: 30, only_baseline: 1, both_wrong: 0 },
    });
    expect(compared.difference).toBeCloseTo(29 / 40, 12);
    const [low, high] = compared.interval;
    expect(low).toBeLessThan(29 / 40);
    expect(high).toBeGreaterThan(29 / 40);
    expect(low).toBeGreaterThan(0.5);
    // Two-sided: 2 · (C(31,0) + C(31,1)) / 2^31.
    expect(compared.verdicts?.p).toBeCloseTo((2 * 32) / 2 ** 31, 12);
    expect(compared.items).toMatchObject([
      { index: 0, id: 'row-0', value: 0, baseline: 1, answer: 'b', baseline_answer: 'a' },
      { index: 1, value: 1, baseline: 0 },
      { index: 2 },
    ]);
    expect(await compareEvaluations(s, actor, one, { with: other, limit: 3 })).toEqual(compared);
  });

  test('are paired by a share that is a sum over a sum, which no item has itself', async () => {
    const ids = [await succeeded(rights(40, () => true)), await succeeded(rights(40, () => false))] as const;
    for (const [k, id] of ids.entries()) {
      // Half of the tokens of each row, and all of them.
      const metrics = { correct: k === 0 ? 4 : 2, tokens: 4 };
      await s.db.scoredItem.updateMany({ where: { evaluationId: id }, data: { metrics } });
      const figure = { value: k === 0 ? 1 : 0.5, interval: null, chance: null, at_chance: false };
      const summary = { suite: 'arc_easy', n: 40, metric: 'token_accuracy', metrics: { token_accuracy: figure } };
      await s.db.evaluationTask.update({ where: { id }, data: { summary } });
    }
    const compared = await compareEvaluations(s, actor, ids[0], { with: ids[1], limit: 3 });
    expect(compared).toMatchObject({ metric: 'token_accuracy', n: 40, difference: 0.5, verdicts: null });
  });

  test('of other items are not compared, and what differs is said', async () => {
    const one = await succeeded([true, false], {}, { limit: 2 });
    const other = await succeeded([true, false], { itemsSha256: 'others' }, { limit: 3 });
    await expect(compareEvaluations(s, actor, one, { with: other, limit: 1 })).rejects.toMatchObject({
      code: 'conflict',
      param: 'with',
      message: expect.stringContaining('limit is 2 there and 3 here'),
    });
    const running = await taken();
    await expect(compareEvaluations(s, actor, one, { with: running.id, limit: 1 })).rejects.toMatchObject({
      code: 'not_ready',
    });
    const same = await succeeded([true, true], {}, { limit: 2 });
    await expect(compareEvaluations(s, actor, one, { with: same, metric: 'acc_nrm', limit: 1 })).rejects.toMatchObject({
      code: 'invalid_value',
      param: 'metric',
      hint: "Did you mean 'acc_norm'?",
    });
  });
});

test('what changes while one is read is in all of what is read or in nothing of it', async () => {
  const { id, token } = await taken();
  await startEvaluation(s, token, 0);
  await markEvaluating(s, token, evaluating(1));
  const statuses = async () => {
    const { status, attempts } = await getEvaluation(s, actor, id);
    return [status, attempts.at(-1)?.status];
  };
  const before = await statuses();
  const other = await s.pg.connect();
  const blocked = async (): Promise<boolean> => {
    const { rows } = await s.pg.query(
      `SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'attempts'::regclass AND pid <> pg_backend_pid()`,
    );
    return rows.length > 0;
  };
  try {
    await other.query('BEGIN');
    await other.query('LOCK TABLE attempts IN ACCESS EXCLUSIVE MODE');
    const read = statuses();
    // The task is read by now, its attempts are not.
    for (let i = 0; i < 1_000 && !(await blocked()); i++) await new Promise((resolve) => setTimeout(resolve, 5));
    await other.query(`UPDATE attempts SET status = 'finished' WHERE task_id = $1`, [id]);
    await other.query('COMMIT');
    expect(await read).toEqual(before);
    expect(await statuses()).toEqual([before[0], 'finished']);
  } finally {
    other.release(true);
  }
});
