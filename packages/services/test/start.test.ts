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
  pauseRun,
  recordCheckpoint,
  type Services,
} from '../src/index.js';
import { registerFolder } from '../src/library/register-folder.js';
import { collectCheckpoints } from '../src/training/drop-checkpoints.js';
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
    const save = async (step: number, validLoss?: number) => {
      const dir = await writeFolder({ 'state.json': `${step}` });
      await recordCheckpoint(s, token, {
        step,
        dir,
        metrics: validLoss === undefined ? {} : { valid_loss: validLoss },
      });
    };
    /** Steps of the checkpoints that are listed, each of which has its files, and no other has. */
    const kept = async () => {
      const rows = await s.db.checkpoint.findMany({ where: { runId: run.id }, orderBy: { step: 'asc' } });
      for (const { blobKey, deletedAt } of rows)
        expect(await s.blobs.list(blobKey)).toHaveLength(deletedAt === null ? 1 : 0);
      return rows.flatMap(({ step, deletedAt }) => (deletedAt === null ? [step] : []));
    };
    for (const step of steps) await save(step);
    const name = `ft:tiny:default::${run.id.slice(-8)}`;
    const succeed = () =>
      s.db.run.update({
        where: { id: run.id },
        data: { fineTunedModel: name, step: 20, task: { update: { status: 'succeeded', finishedAt: new Date() } } },
      });
    return { run, name, save, kept, succeed };
  }
  const end = (id: string) =>
    s.db.task.update({ where: { id }, data: { status: 'cancelled', finishedAt: new Date() } });
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
    const { name, save, kept } = await trained([5, 10]);
    const next = await submit(`${name}:ckpt-step-5`);
    await save(15);
    await save(20);
    expect(await kept()).toEqual([5, 15, 20]);
    await expect(submit(`${name}:ckpt-step-10`)).rejects.toThrow(/is not kept any more/);
    await pauseRun(s, actor, next.id);
    await save(20);
    expect(await kept()).toEqual([5, 15, 20]);
    await end(next.id);
    await save(20);
    expect(await kept()).toEqual([15, 20]);
  });

  test('is dropped in a later round when the run that started from it ends after its own run has', async () => {
    const { name, save, kept, succeed } = await trained([5, 10]);
    const next = await submit(`${name}:ckpt-step-5`);
    await save(15);
    await succeed();
    await collectCheckpoints(s);
    expect(await kept()).toEqual([5, 10, 15]);
    await end(next.id);
    await collectCheckpoints(s);
    expect(await kept()).toEqual([10, 15]);
  });

  test('is kept for a run that is being stored while its own run saves more', async () => {
    const { run, name, save, kept } = await trained([5, 10]);
    const next = await submit('tiny');
    const { id } = await s.db.checkpoint.findFirstOrThrow({ where: { runId: run.id, step: 5 } });
    const client = await s.pg.connect();
    await client.query('BEGIN');
    await client.query('SELECT 1 FROM checkpoints WHERE id = $1 FOR SHARE', [id]); // as holdStart does
    const saving = save(15);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await client.query('UPDATE runs SET start_checkpoint_id = $2 WHERE id = $1', [next.id, id]);
    await client.query('COMMIT');
    client.release();
    await saving;
    expect(await kept()).toEqual([5, 10, 15]);
    await expect(submit(`${name}:ckpt-step-5`)).resolves.toMatchObject({ status: 'queued' });
  });

  test('is there for every run that was let start from it, however its own run saves meanwhile', async () => {
    const { run, name, save } = await trained([5, 10]);
    for (let step = 10; step < 50; step += 5) {
      const starts = [0, 1, 2].map(() => submit(`${name}:ckpt-step-${step - 5}`, { metadata: { of: run.id } }));
      await Promise.allSettled([...starts, save(step + 5)]);
    }
    const started = await s.db.run.findMany({
      where: { startCheckpoint: { runId: run.id } },
      include: { startCheckpoint: true },
    });
    expect(started.length).toBeGreaterThan(0);
    for (const { startCheckpoint } of started) {
      expect(startCheckpoint?.deletedAt).toBeNull();
      expect(await s.blobs.list(startCheckpoint?.blobKey ?? '')).toHaveLength(1);
    }
  });

  test('is one of the last or of the best by validation loss, as many as its run is to keep', async () => {
    const { run, save, kept, succeed } = await trained([], { checkpoint: { every_steps: 5, keep_last: 1 } });
    const keep = async (keep_best: number | boolean) => {
      const checkpoint = { ...run.config.checkpoint, keep_best };
      await s.db.run.update({ where: { id: run.id }, data: { config: { ...run.config, checkpoint } } });
    };
    await keep(2);
    for (const [step, loss] of [
      [1, 3],
      [2, 1],
      [3, 2],
      [4, 2],
    ] as const)
      await save(step, loss);
    // Of equal losses the later one counts more.
    expect(await kept()).toEqual([2, 4]);
    await save(5, Number.NaN);
    await save(6);
    expect(await kept()).toEqual([2, 4, 6]);
    await save(7, 0.5);
    expect(await kept()).toEqual([2, 7]);
    await save(8);
    await keep(true);
    await save(8);
    expect(await kept()).toEqual([7, 8]);
    await s.db.run.update({ where: { id: run.id }, data: { resultStep: 7 } });
    await keep(false);
    await succeed();
    await collectCheckpoints(s);
    expect(await kept()).toEqual([7, 8]);
  });

  test('is not dropped while its run is being verified', async () => {
    const { run, kept, succeed } = await trained([5, 10, 15]);
    await succeed();
    await s.db.checkpoint.updateMany({ where: { runId: run.id, step: 5 }, data: { deletedAt: null } });
    const { projectId } = actor;
    const verification = { create: { runId: run.id, projectId } };
    await s.db.task.create({ data: { id: `v-${run.id}`, kind: 'verify', projectId, status: 'queued', verification } });
    await collectCheckpoints(s);
    const live = () => s.db.checkpoint.count({ where: { runId: run.id, deletedAt: null } });
    expect(await live()).toBe(3);
    await end(`v-${run.id}`);
    await collectCheckpoints(s);
    expect(await kept()).toEqual([10, 15]);
  });

  test('is refused where it trained the base itself', async () => {
    const { name } = await trained([20], { adapter: { type: 'none' } });
    await expect(submit(`${name}:ckpt-step-20`)).rejects.toThrow(/whose run trained the base itself/);
  });
});
