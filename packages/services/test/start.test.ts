import type { RunConfig } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  createAdapter,
  createBase,
  createRun,
  getModel,
  listModels,
  recordCheckpoint,
  type Services,
} from '../src/index.js';
import { registerFolder } from '../src/library/register-folder.js';
import { loadJob } from '../src/training/load-job.js';
import {
  defaultActor,
  goodRows,
  layOut,
  otherActor,
  safetensors,
  tinyFiles,
  uploadOf,
  uploadRows,
  writeFolder,
} from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let file: string;

const PATH = 'model.layers.1.self_attn.k_proj'; // [8, 16]
const PEFT = { peft_type: 'LORA', r: 2, lora_alpha: 6, lora_dropout: 0.1, base_model_name_or_path: 'tiny' };
const matrices = (rank = 2, inDim = 16) =>
  safetensors(
    layOut({
      [`base_model.model.${PATH}.lora_A.weight`]: [rank, inDim],
      [`base_model.model.${PATH}.lora_B.weight`]: [8, rank],
    }),
  );
const folder = (json: object = PEFT, weights = matrices()): Record<string, Buffer | string> => ({
  'adapter_config.json': JSON.stringify(json),
  'adapter_model.safetensors': weights,
});
const register = async (name: string, files = folder(), more: { model?: string; key?: string; caller?: Actor } = {}) =>
  createAdapter(
    s,
    more.caller ?? actor,
    { name, model: more.model, upload: await uploadOf(s, files) },
    more.key === undefined ? {} : { idempotencyKey: more.key },
  );
const submit = (model: string, more: Record<string, unknown> = {}) =>
  createRun(s, actor, { model, training_file: file, max_steps: 20, ...more });

beforeAll(async () => {
  actor = await defaultActor(s);
  await createBase(s, actor, { name: 'tiny', upload: await uploadOf(s, tinyFiles()) });
  file = (await uploadRows(s, actor, goodRows(16))).id;
});

describe('a registered adapter', () => {
  test('is a model of its base, and the method of the run that starts from it', async () => {
    expect(await register('plain')).toMatchObject({ id: 'plain', kind: 'adapter', parent: 'tiny', run_id: null });
    expect(await getModel(s, actor, 'plain')).toMatchObject({ kind: 'adapter', parent: 'tiny' });
    expect((await listModels(s, actor)).data.map(({ id, kind }) => [id, kind])).toContainEqual(['plain', 'adapter']);

    const run = await submit('plain');
    expect(run.model).toBe('plain');
    expect(run.config.base).toBe('tiny');
    expect(run.config.start).toEqual({ model: 'plain', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
    expect(run.config.adapter).toEqual({
      type: 'lora',
      rank: 2,
      alpha: 6,
      use_rslora: false,
      dropout: 0.1,
      target_modules: [PATH],
    });
    const job = await loadJob(s, run.id);
    expect(job.start?.sha256).toBe(run.config.start?.sha256);
    expect((await s.blobs.list(job.start?.blobPrefix ?? '')).map(({ path }) => path).sort()).toEqual(
      Object.keys(folder()).sort(),
    );
  });

  test.each<[string, Record<string, Buffer | string>, RegExp]>([
    ['of another width', folder(PEFT, matrices(2, 17)), /the weights hold 50 numbers; lora r2 on this base has 48/],
    ['of a rank that it does not say', folder({ ...PEFT, r: 3 }), /the weights hold 48 numbers; lora r3/],
    ['with ranks of layers', folder({ ...PEFT, rank_pattern: { k_proj: 2 } }), /rank_pattern gives some layers a rank/],
    ['of a method that is not read', folder({ ...PEFT, peft_type: 'IA3' }), /peft_type is "IA3": only LORA/],
    ['without weights', { 'adapter_config.json': JSON.stringify(PEFT) }, /has no adapter_model.safetensors/],
    ['with half its weights', folder(PEFT, matrices().subarray(0, 300)), /not a valid safetensors file/],
    ['that is a list', folder([]), /holds no JSON object/],
    ['that is a model', { 'config.json': '{}' }, /The upload is no adapter/],
    ['that may be a pickle', { ...folder(), 'training_args.bin': 'x' }, /training_args.bin may hold pickled/],
    ['of no known base', folder({ ...PEFT, base_model_name_or_path: 'granite' }), /No base model 'granite'/],
    ['that names no base', folder({ peft_type: 'LORA', r: 2, lora_alpha: 6 }), /does not say which base/],
  ])('%s is refused', async (_what, files, message) => {
    await expect(register('refused', files)).rejects.toThrow(message);
    await expect(getModel(s, actor, 'refused')).rejects.toMatchObject({ code: 'not_found' });
  });

  test('with a number that is not finite is refused by its place', async () => {
    const weights = Buffer.from(matrices());
    weights.writeFloatLE(Number.NaN, weights.length - 4);
    await expect(register('refused', folder(PEFT, weights))).rejects.toThrow(
      /lora_B.weight \[8, 2\] has NaN at \[7, 1\]/,
    );
  });

  test('is the same when it is sent again, and has its name alone', async () => {
    const first = await register('again', folder(), { key: 'k' });
    expect(await register('again', folder(), { key: 'k' })).toEqual(first);
    expect(await register('again')).toEqual(first);
    await expect(register('again', folder({ ...PEFT, lora_alpha: 7 }))).rejects.toMatchObject({ code: 'conflict' });
    await expect(register('other', folder(), { key: 'k' })).rejects.toMatchObject({ param: 'Idempotency-Key' });
    await expect(register('tiny')).rejects.toThrow(/Another model is called 'tiny'/);
    const base = createBase(s, actor, { name: 'again', upload: await uploadOf(s, tinyFiles()) });
    await expect(base).rejects.toThrow(/Another model is called 'again'/);
  });

  test('and a base that is registered at the same moment do not get one name', async () => {
    const { projectId } = actor;
    const name = 'twin';
    const common = { projectId, name, blobPrefix: 'none', sha256: '0', sizeBytes: 0, config: {} };
    const { id: baseId } = await s.db.base.findFirstOrThrow({ where: { projectId, name: 'tiny' } });
    const slowly = () => new Promise((resolve) => setTimeout(resolve, 100));
    const one = { name, files: new Map(), blobPrefix: 'twins', findSame: async () => null };
    const made = await Promise.allSettled([
      registerFolder(s, actor, {
        ...one,
        insert: async (tx) => {
          await slowly();
          return tx.base.create({ data: { ...common, id: 'base_twin', parameters: 1, context: 1 } });
        },
      }),
      registerFolder(s, actor, {
        ...one,
        insert: async (tx) => {
          await slowly();
          return tx.uploadedAdapter.create({ data: { ...common, id: 'adp_twin', baseId } });
        },
      }),
    ]);
    expect(made.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(made.find((each) => each.status === 'rejected')?.reason).toMatchObject({ code: 'conflict', param: 'name' });
    expect((await listModels(s, actor)).data.filter(({ id }) => id === name)).toHaveLength(1);
  });

  test('is of its project alone', async () => {
    await register('ours');
    const stranger = await otherActor(s);
    await expect(getModel(s, stranger, 'ours')).rejects.toMatchObject({ code: 'not_found' });
    await expect(createRun(s, stranger, { model: 'ours', training_file: file })).rejects.toMatchObject({
      code: 'not_found',
      param: 'model',
    });
  });
});

describe('a run of the service as the start of another', () => {
  const adapter = { type: 'mora', rank: 2, mora_type: 1, restart: { every: 4, warmup: 1 } };
  /** A run with checkpoints at these steps, of which it keeps the last two, as a worker would leave it. */
  async function trained(steps: number[], body: Record<string, unknown> = {}) {
    const run = await submit('tiny', { adapter, checkpoint: { every_steps: 5, keep_last: 2 }, ...body });
    const worker = await s.db.worker.create({
      data: {
        id: `wrk_${run.id}`,
        name: 'w',
        status: 'ready',
        host: 'h',
        pid: 1,
        version: '0',
        device: {},
        cores: 1,
        memoryBytes: 1,
      },
    });
    await s.db.task.update({ where: { id: run.id }, data: { status: 'running', attempt: 1, startedAt: new Date() } });
    const leaseExpiresAt = new Date(Date.now() + 60_000);
    await s.db.attempt.create({
      data: {
        taskId: run.id,
        attempt: 1,
        projectId: actor.projectId,
        workerId: worker.id,
        status: 'running',
        leaseExpiresAt,
      },
    });
    const token = { taskId: run.id, attempt: 1, workerId: worker.id };
    const save = async (step: number) =>
      recordCheckpoint(s, token, { step, dir: await writeFolder({ 'state.json': `${step}` }), metrics: {} });
    for (const step of steps) await save(step);
    const name = `ft:tiny:default::${run.id.slice(-8)}`;
    const succeed = () =>
      s.db.run.update({
        where: { id: run.id },
        data: { fineTunedModel: name, step: 20, task: { update: { status: 'succeeded', finishedAt: new Date() } } },
      });
    return { run, name, save, succeed };
  }
  const moraType = ({ adapter: one }: RunConfig) => ('mora_type' in one ? one.mora_type : null);

  test('is named with its run, and gives the method as it has become', async () => {
    const { run, name, succeed } = await trained([15, 20]);
    const at15 = await submit(`${name}:ckpt-step-15`);
    expect(at15).toMatchObject({ model: `${name}:ckpt-step-15`, config: { base: 'tiny', start: { run_id: run.id } } });
    // Three restarts before step 15 (5, 9, 13): types 1, 2, 3, 4; a fourth before step 17 goes round.
    expect(moraType(at15.config)).toBe(4);
    await expect(submit(name)).rejects.toMatchObject({ code: 'not_found', param: 'model' });
    await succeed();
    expect(moraType((await submit(name)).config)).toBe(1);
    await expect(submit(name, { adapter: { mora_type: 3 } })).rejects.toThrow(/'adapter.mora_type' is 3, .* has 1/);
    const slower = await submit(name, { adapter: { restart: { every: 5, warmup: 1 }, dropout: 0.2 } });
    expect(slower.config.adapter).toMatchObject({ restart: { every: 5 }, dropout: 0.2 });
  });

  test('is kept while a run that is to start from it has not ended', async () => {
    const { run, name, save } = await trained([5, 10]);
    const next = await submit(`${name}:ckpt-step-5`);
    await save(15);
    await save(20);
    const kept = async () =>
      (await s.db.checkpoint.findMany({ where: { runId: run.id, deletedAt: null } }))
        .map(({ step }) => step)
        .sort((a, b) => a - b);
    expect(await kept()).toEqual([5, 15, 20]);
    await expect(submit(`${name}:ckpt-step-10`)).rejects.toThrow(/is not kept any more/);
    await s.db.task.update({ where: { id: next.id }, data: { status: 'cancelled', finishedAt: new Date() } });
    await save(20);
    expect(await kept()).toEqual([15, 20]);
  });

  test('is refused where it trained the base itself', async () => {
    const { name } = await trained([20], { adapter: { type: 'none' } });
    await expect(submit(`${name}:ckpt-step-20`)).rejects.toThrow(/whose run trained the base itself/);
  });
});
