import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunObject } from '@moraine/contract';
import { batchSizeAuto } from '@moraine/contract/plan';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { findRepeated } from '../src/ground/find-repeated.js';
import {
  type Actor,
  createBaseFromDir,
  createRun,
  getRun,
  listEvents,
  registerWorker,
  type Services,
} from '../src/index.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let trainingFile: string;
beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  trainingFile = (await uploadRows(s, actor, goodRows(100))).id;
});

const ask = (body: Record<string, unknown>) =>
  createRun(s, actor, { model: 'tiny', training_file: trainingFile, ...body });
const dry = async (body: Record<string, unknown>) => (await ask({ ...body, dry_run: true })).config;

test('a run is stored with every value resolved, its event, and a wake-up in the queue of its pool', async () => {
  const run = await ask({ seed: 7, metadata: { team: 'a' }, suffix: 'my model', pool: 'one' });
  expect(RunObject.parse(run)).toEqual(run);
  expect(run).toMatchObject({
    object: 'fine_tuning.job',
    model: 'tiny',
    status: 'queued',
    organization_id: actor.projectId,
    fine_tuned_model: null,
    trained_tokens: null,
    error: null,
    seed: 7,
    result_files: [],
    integrations: [],
    metadata: { team: 'a' },
    suffix: 'my model',
    hyperparameters: { n_epochs: 3, batch_size: 8, learning_rate_multiplier: 1 },
    method: {
      type: 'supervised',
      supervised: { hyperparameters: { n_epochs: 3, batch_size: 8, learning_rate_multiplier: 1 } },
    },
    progress: { step: 0, steps: 38 },
  });
  expect(JSON.stringify(run.config)).not.toContain('auto');
  expect(run.config).toMatchObject({
    base: 'tiny',
    steps: 38,
    adapter: { type: 'lora', rank: 8, alpha: 16, use_rslora: false, dropout: 0 },
    schedule: { type: 'cosine', warmup_steps: 1, min_ratio: 0 },
    max_seq_len: 64,
    over_length: 'truncate',
    packing: true,
    mode: 'plain',
    evaluation: { every_steps: 4, files: [] },
    checkpoint: { every_steps: 0, every_seconds: 60, keep_last: 3, keep_best: false },
    // 14 layers; (in + out) * 8 each: q 32, k 24, v 24, o 32, three of 40
    trainable_parameters: 2 * 8 * (32 + 24 + 24 + 32 + 3 * 40),
  });
  const { adapter } = run.config;
  expect(adapter.type === 'lora' && adapter.target_modules).toHaveLength(14);
  const events = await listEvents(s, actor, run.id, { limit: 10 });
  expect(events.data).toMatchObject([
    { object: 'fine_tuning.job.event', level: 'info', type: 'message', message: `Created fine-tuning job: ${run.id}` },
  ]);
  expect(await s.queues.of('one').getPrioritizedCount()).toBe(1);
});

test('a dry run answers the resolved configuration and stores nothing', async () => {
  const before = await s.db.run.count();
  const run = await ask({ dry_run: true, adapter: { type: 'moa', rank: 4 } });
  expect(RunObject.parse(run)).toEqual(run);
  expect(run).toMatchObject({
    id: 'ftjob-dry-run',
    state_reason: { code: 'dry_run' },
    config: { adapter: { type: 'mora', mora_type: 6 } },
  });
  expect(run.config.chosen?.map(({ param }) => param)).toEqual(['learning_rate', 'batch_size', 'n_epochs']);
  expect(await s.db.run.count()).toBe(before);
});

test('a dry run and a run that waits are advised to take bf16 where every worker of the pool multiplies it', async () => {
  const { parameters } = await s.db.base.findFirstOrThrow({ where: { name: 'tiny' } });
  await s.db.base.updateMany({ where: { name: 'tiny' }, data: { parameters: 20_000_000 } });
  const facts = { host: 'h', pid: 1, version: '0', cores: 1, memoryBytes: 1, status: 'ready' } as const;
  const addWorker = (name: string, bfloat16: string | null) =>
    registerWorker(s, { ...facts, name, pool: 'bf', device: { kind: 'cpu', name: 'cpu', tensorflow: null, bfloat16 } });
  const adviceOf = async (body: Record<string, unknown> = {}) =>
    (await ask({ dry_run: true, pool: 'bf', ...body })).advice;
  expect(await adviceOf()).toEqual([]);
  await addWorker('with', 'avx512_bf16');
  expect(await adviceOf()).toMatchObject([{ param: 'mode', value: 'bf16', speedup: [1.2, 1.6] }]);
  expect(await adviceOf({ mode: 'bf16' })).toEqual([]);
  const waiting = await ask({ pool: 'bf' });
  expect((await getRun(s, actor, waiting.id)).advice).toHaveLength(1);
  await addWorker('without', null);
  expect(await adviceOf()).toEqual([]);
  await s.db.base.updateMany({ where: { name: 'tiny' }, data: { parameters } });
});

test('a run may stop early where it has a validation file, and is refused without one', async () => {
  const early_stopping = { patience: 2 };
  await expect(ask({ early_stopping })).rejects.toMatchObject({ code: 'invalid_value', param: 'early_stopping' });
  const validation_file = (await uploadRows(s, actor, goodRows(8))).id;
  const { config } = await ask({ dry_run: true, early_stopping, validation_file });
  expect(config).toMatchObject({ early_stopping: { patience: 2, min_delta: 0 }, checkpoint: { keep_best: true } });
});

test('a run waits for a file that is still being validated', async () => {
  const file = await uploadRows(s, actor, goodRows(16));
  await s.db.file.update({ where: { id: file.id }, data: { status: 'uploaded' } });
  const creating = ask({ training_file: file.id });
  await s.db.file.update({ where: { id: file.id }, data: { status: 'processed' } });
  expect((await creating).status).toBe('queued');
});

describe('resolving', () => {
  test('steps are epochs of rows by batch size, at most max_steps; epochs follow from max_steps alone', async () => {
    const hyper = (values: object) => ({ method: { type: 'supervised', supervised: { hyperparameters: values } } });
    expect(await dry(hyper({ n_epochs: 2, batch_size: 30 }))).toMatchObject({ n_epochs: 2, batch_size: 30, steps: 7 });
    expect(await dry({ ...hyper({ n_epochs: 2, batch_size: 30 }), max_steps: 5 })).toMatchObject({
      n_epochs: 2,
      steps: 5,
    });
    expect(await dry({ batch_size: 10, max_steps: 95 })).toMatchObject({ n_epochs: 10, steps: 95 });
    expect(await dry({ ...hyper({ n_epochs: 'auto', batch_size: 'auto' }), max_steps: 500 })).toMatchObject({
      batch_size: 8,
      n_epochs: 40,
      steps: 500,
    });
  });

  test.each([
    [{ method: { type: 'dpo', dpo: { hyperparameters: { beta: 0.1 } } } }, 'unsupported_method', 'method.type'],
    [{ method: { type: 'reinforcement' } }, 'unsupported_method', 'method.type'],
    [{ method: { type: 'supervised', dpo: { hyperparameters: {} } } }, 'unsupported_method', 'method.dpo'],
    [{ method: { type: 'supervized' } }, 'invalid_value', 'method.type'],
    [{ integrations: [{ type: 'wandb', wandb: { project: 'p' } }] }, 'unsupported_integration', 'integrations'],
  ])('%j is refused as %s', async (body, code, param) => {
    await expect(dry(body)).rejects.toMatchObject({ code, param, status: 400, hint: expect.any(String) });
    expect(await dry({ method: null, integrations: null })).toBeDefined();
  });

  test('the older place of hyperparameters works, and the same value twice is no conflict', async () => {
    expect(await dry({ hyperparameters: { n_epochs: 4 } })).toMatchObject({ n_epochs: 4 });
    expect(
      await dry({
        hyperparameters: { n_epochs: 4, batch_size: 4 },
        batch_size: 4,
        method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 4 } } },
      }),
    ).toMatchObject({ n_epochs: 4, batch_size: 4 });
  });

  test('the multiplier scales the automatic learning rate; an absolute one is kept and reported as a multiple', async () => {
    const automatic = (await dry({})).optimizer.learning_rate;
    expect(automatic).toBeGreaterThan(0);
    const scaled = await dry({ hyperparameters: { learning_rate_multiplier: 0.5 } });
    expect(scaled.optimizer.learning_rate).toBeCloseTo(automatic / 2, 12);
    const absolute = await ask({ optimizer: { learning_rate: automatic * 4 }, dry_run: true });
    expect(absolute.config.optimizer.learning_rate).toBe(automatic * 4);
    expect(absolute.hyperparameters.learning_rate_multiplier).toBeCloseTo(4, 5);
  });

  test('warm-up is steps or a share of them', async () => {
    expect((await dry({ max_steps: 200, schedule: { warmup_ratio: 0.1 } })).schedule.warmup_steps).toBe(20);
    expect(
      (await dry({ max_steps: 200, schedule: { type: 'linear', warmup_steps: 7, min_ratio: 0.1 } })).schedule,
    ).toEqual({ type: 'linear', warmup_steps: 7, min_ratio: 0.1 });
  });

  test('a suffix of a path names the same layer of each block', async () => {
    const { adapter } = await dry({ adapter: { target_modules: ['q_proj', 'model.layers.1.mlp.up_proj'] } });
    expect(adapter.type !== 'none' && adapter.target_modules).toEqual([
      'model.layers.0.self_attn.q_proj',
      'model.layers.1.self_attn.q_proj',
      'model.layers.1.mlp.up_proj',
    ]);
  });

  test('full fine-tuning trains every weight', async () => {
    expect(await dry({ adapter: { type: 'none' } })).toMatchObject({
      adapter: { type: 'none' },
      trainable_parameters: 4_432,
    });
  });

  test('the automatic batch grows with the file from 1 to 32', () => {
    expect([1, 7, 8, 40, 64, 1_000, 4_000, 8_000, 1_000_000].map(batchSizeAuto)).toEqual([1, 1, 1, 5, 8, 8, 8, 16, 32]);
  });
});

describe('refused, with what is wrong and how to fix it', () => {
  const cases: [string, Record<string, unknown>, Record<string, unknown>][] = [
    ['an unknown key', { epochs: 3 }, { code: 'unknown_key', param: 'epochs' }],
    [
      'a misspelt key, with the nearest name',
      { adapter: { rnak: 4 } },
      { code: 'unknown_key', param: 'adapter.rnak', hint: "Did you mean 'adapter.rank'?" },
    ],
    [
      'a misspelt value, with the nearest one',
      { adapter: { type: 'loar' } },
      { code: 'invalid_value', param: 'adapter.type', hint: 'Did you mean "lora"?' },
    ],
    ['a rank of zero', { adapter: { rank: 0 } }, { code: 'invalid_value', param: 'adapter.rank' }],
    [
      'a rank beyond the narrowest layer',
      { adapter: { rank: 9 } },
      {
        code: 'invalid_value',
        param: 'adapter.rank',
        message: expect.stringContaining('k_proj is 8 by 16'),
        hint: expect.stringContaining('at most 8'),
      },
    ],
    [
      'a MoRA square with more numbers than the layer',
      { adapter: { type: 'mora', rank: 16 } },
      { code: 'invalid_value', param: 'adapter.rank', hint: expect.stringMatching(/at most \d/) },
    ],
    [
      'alpha with MoRA',
      { adapter: { type: 'mora', alpha: 16 } },
      { code: 'invalid_value', param: 'adapter.alpha', hint: expect.stringContaining('MoRA has no scale') },
    ],
    [
      'rsLoRA with MoRA',
      { adapter: { type: 'moa', use_rslora: true } },
      { code: 'invalid_value', param: 'adapter.use_rslora' },
    ],
    ['a MoRA type with LoRA', { adapter: { mora_type: 6 } }, { code: 'invalid_value', param: 'adapter.mora_type' }],
    [
      'a rank without an adapter',
      { adapter: { type: 'none', rank: 8 } },
      { code: 'invalid_value', param: 'adapter.rank' },
    ],
    [
      'a target that matches nothing',
      { adapter: { target_modules: ['q_porj'] } },
      {
        code: 'no_target_matched',
        message: expect.stringContaining('q_porj'),
        hint: expect.stringContaining("'q_proj'"),
      },
    ],
    [
      'two different epochs',
      {
        hyperparameters: { n_epochs: 2 },
        method: { type: 'supervised', supervised: { hyperparameters: { n_epochs: 3 } } },
      },
      {
        code: 'invalid_value',
        param: 'hyperparameters.n_epochs',
        message: expect.stringContaining('method.supervised.hyperparameters.n_epochs'),
      },
    ],
    [
      'two different batch sizes',
      { batch_size: 4, hyperparameters: { batch_size: 8 } },
      { code: 'invalid_value', param: 'batch_size' },
    ],
    [
      'a learning rate and a multiplier',
      { optimizer: { learning_rate: 1e-3 }, hyperparameters: { learning_rate_multiplier: 2 } },
      { code: 'invalid_value', param: 'optimizer.learning_rate' },
    ],
    [
      'warm-up steps and ratio',
      { schedule: { warmup_steps: 1, warmup_ratio: 0.1 } },
      { code: 'invalid_value', param: 'schedule.warmup_ratio' },
    ],
    [
      'a warm-up longer than the run',
      { max_steps: 10, schedule: { warmup_steps: 11 } },
      { code: 'invalid_value', param: 'schedule.warmup_steps' },
    ],
    [
      'an accumulation that does not divide the batch',
      { batch_size: 8, accumulation: 3 },
      { code: 'invalid_value', param: 'accumulation' },
    ],
    [
      'a sequence longer than the base reads',
      { max_seq_len: 65 },
      { code: 'invalid_value', param: 'max_seq_len', message: expect.stringContaining('64') },
    ],
    [
      'a model that is not there, with the nearest',
      { model: 'tinny' },
      { code: 'not_found', param: 'model', hint: "Did you mean 'tiny'?" },
    ],
    [
      'a fine-tuned model that is not there',
      { model: 'ft:tiny:default::abcdefgh' },
      { code: 'not_found', param: 'model', hint: expect.stringContaining('/v1/models') },
    ],
    ['a missing training file', { training_file: 'file-nothing' }, { code: 'not_found', param: 'training_file' }],
    ['a missing validation file', { validation_file: 'file-nothing' }, { code: 'not_found', param: 'validation_file' }],
    [
      'a missing evaluation file',
      { evaluation: { files: ['file-nothing'] } },
      { code: 'not_found', param: 'evaluation.files[0]' },
    ],
    ['a pool that no queue can be called', { pool: 'a:b' }, { code: 'invalid_value', param: 'pool' }],
    [
      'seventeen pairs of metadata',
      { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`k${i}`, 'v'])) },
      { code: 'invalid_value', param: 'metadata' },
    ],
  ];
  test.each(cases)('%s', async (_what, body, error) => {
    const before = await s.db.run.count();
    await expect(ask(body)).rejects.toMatchObject({ hint: expect.any(String), ...error });
    expect(await s.db.run.count()).toBe(before);
  });

  test('no body, a list and a model missing', async () => {
    for (const body of [undefined, null, [], 'x', {}])
      await expect(createRun(s, actor, body)).rejects.toMatchObject({ code: 'invalid_value' });
  });

  test('a file with bad lines, which are named', async () => {
    const file = await uploadRows(s, actor, `${goodRows(1)}\n{"prompt":"x","compeltion":"y"}`);
    await expect(ask({ training_file: file.id })).rejects.toMatchObject({
      code: 'invalid_file',
      param: 'training_file',
      message: expect.stringMatching(/[Ll]ine 2/),
    });
  });
});

describe('the same request again', () => {
  const post = (body: Record<string, unknown>, repeatable: Parameters<typeof createRun>[3]) =>
    createRun(s, actor, { model: 'tiny', training_file: trainingFile, ...body }, repeatable);

  test('a retry of a stock client answers the first run, also when it overtakes it', async () => {
    const body = { metadata: { case: 'retry' } };
    const runs = await Promise.all([post(body, {}), post(body, { retryCount: 1 }).catch(() => null)]);
    const again = await post({ metadata: { case: 'retry' } }, { retryCount: 2 });
    expect(runs.map((run) => run?.id)).toContain(again.id);
    const other = await post({ metadata: { case: 'other' } }, { retryCount: 1 });
    expect(other.id).not.toBe(again.id);
  });

  test('twenty retries at once make one run, with one event and one wake-up', async () => {
    const body = { metadata: { case: 'twenty' }, pool: 'twenty' };
    const runs = await Promise.all(Array.from({ length: 20 }, () => post(body, { retryCount: 1 })));
    expect(new Set(runs.map((run) => run.id)).size).toBe(1);
    expect((await listEvents(s, actor, runs[0]?.id ?? '', { limit: 10 })).data).toHaveLength(1);
    expect(await s.queues.of('twenty').getPrioritizedCount()).toBe(1);
  });

  test('without a retry count two equal requests are two runs', async () => {
    const [a, b] = [await post({ seed: 1 }, {}), await post({ seed: 1 }, {})];
    expect(a.id).not.toBe(b.id);
  });

  test('first tries of equal requests do not wait for each other; a retry waits for all of them', async () => {
    const body = { metadata: { case: 'at once' } };
    const first = await post(body, {});
    const { requestHash } = await s.db.run.findUniqueOrThrow({ where: { id: first.id } });
    const gate = new EventEmitter();
    const held = s.db.$transaction(async (tx) => {
      const none = { underKey: async () => null, freeKey: async () => null, since: async () => null, retryLifeMs: 0 };
      await findRepeated(tx, actor, requestHash, {}, none);
      gate.emit('held');
      await once(gate, 'end');
    });
    await once(gate, 'held');
    const second = await post(body, {});
    expect(second.id).not.toBe(first.id);
    const retry = post(body, { retryCount: 1 });
    expect(await Promise.race([retry, sleep(300, 'waits')])).toBe('waits');
    gate.emit('end');
    await held;
    expect((await retry).id).toBe(second.id);
  });

  test('a retry later than a minute, or by another key, is a new run', async () => {
    const body = { metadata: { case: 'late' } };
    const first = await post(body, {});
    const byOther = await createRun(
      s,
      { ...actor, keyId: null },
      { model: 'tiny', training_file: trainingFile, ...body },
      { retryCount: 1 },
    );
    expect(byOther.id).not.toBe(first.id);
    await s.db.task.updateMany({ data: { createdAt: new Date(Date.now() - 61_000) } });
    expect((await post(body, { retryCount: 1 })).id).not.toBe(first.id);
  });

  test('an idempotency key answers its run for a day and refuses another request', async () => {
    const key = { idempotencyKey: 'abc' };
    const first = await post({ seed: 3 }, key);
    expect((await post({ seed: 3 }, key)).id).toBe(first.id);
    await expect(post({ seed: 4 }, key)).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining(first.id),
    });
    await s.db.task.update({ where: { id: first.id }, data: { createdAt: new Date(Date.now() - 25 * 3_600_000) } });
    expect((await post({ seed: 4 }, key)).id).not.toBe(first.id);
    expect((await getRun(s, actor, first.id)).id).toBe(first.id);
  });
});
