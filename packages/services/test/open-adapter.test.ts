import { mkdir, mkdtemp, readdir, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { type ExportOrder, newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import {
  type Actor,
  createBaseFromDir,
  createRun,
  getRun,
  type MakeExport,
  openAdapter,
  type Services,
} from '../src/index.js';
import { moveTask } from '../src/work/move-task.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from './tiny-base.js';

const t = await testServices();
afterAll(() => t.close());
const s: Services = t.services;
let actor: Actor;
let trainingFile: string;
beforeAll(async () => {
  actor = await defaultActor(s);
  await createBaseFromDir(s, actor, { name: 'tiny', dir: await writeFolder(tinyFiles()) });
  trainingFile = (await uploadRows(s, actor, goodRows(64))).id;
});

const FILES = {
  'adapter_config.json': Buffer.from('{"r":8}'),
  'adapter_model.safetensors': Buffer.alloc(3_000_000, 7),
  'nested/empty.txt': Buffer.alloc(0),
};

/** A run that succeeded with exports of these kinds. */
async function succeeded(adapter: Record<string, unknown>, kinds: string[]): Promise<string> {
  const { id } = await createRun(s, actor, { model: 'tiny', training_file: trainingFile, adapter });
  await s.db.task.update({ where: { id }, data: { status: 'running', attempt: 1 } });
  await moveTask(s.pg, id, 'succeeded');
  for (const kind of kinds) {
    const dir = await mkdtemp(join(tmpdir(), 'moraine-export-'));
    await mkdir(join(dir, 'nested'));
    for (const [name, bytes] of Object.entries(FILES)) await writeFile(join(dir, name), bytes);
    const blobKey = `runs/${id}/exports/${kind}`;
    const stored = await s.blobs.putDir(blobKey, dir);
    await s.db.adapter.create({
      data: { id: newId('adapter'), projectId: actor.projectId, runId: id, attempt: 1, kind, blobKey, ...stored },
    });
  }
  return id;
}

/** What is stored is not made. */
const unasked: MakeExport = () => Promise.reject(new Error('nothing is to be made'));

/** Makes a stream of a few bytes, and keeps what was asked for. */
function recording(): { orders: ExportOrder[]; make: MakeExport } {
  const orders: ExportOrder[] = [];
  return {
    orders,
    make: async (order) => {
      orders.push(order);
      return Readable.from([Buffer.from('tar')]);
    },
  };
}

test('the tar holds the files of the folder, byte by byte, without a folder around them', async () => {
  const id = await succeeded({}, ['adapter', 'peft', 'merged']);
  for (const format of ['native', 'peft', 'merged'] as const) {
    const { filename, stream } = await openAdapter(s, actor, id, { format, lambda: 1 }, unasked);
    expect(filename).toBe(`${id}-${format}.tar`);
    const found: Record<string, Buffer> = {};
    const unpack = stream.pipe(extract());
    for await (const entry of unpack) found[entry.header.name] = await buffer(entry);
    expect(Object.keys(found).sort()).toEqual(Object.keys(FILES).sort());
    for (const [name, bytes] of Object.entries(FILES)) expect(found[name]?.equals(bytes)).toBe(true);
  }
});

test('a run that has not succeeded is not ready, and says how far it is', async () => {
  const { id } = await createRun(s, actor, { model: 'tiny', training_file: trainingFile, max_steps: 50 });
  await expect(openAdapter(s, actor, id, { format: 'native', lambda: 1 }, unasked)).rejects.toMatchObject({
    code: 'not_ready',
    message: expect.stringContaining('queued at step 0 of 50'),
  });
});

test('MoRA with rotation has no PEFT form: why, and what to ask for', async () => {
  const id = await succeeded({ type: 'mora', rank: 4, mora_type: 6 }, ['adapter', 'merged']);
  await expect(openAdapter(s, actor, id, { format: 'peft', lambda: 1 }, unasked)).rejects.toMatchObject({
    code: 'unsupported_format',
    param: 'format',
    message: expect.stringContaining('MoRA type 6'),
    hint: expect.stringContaining('?format=merged'),
  });
});

test('full fine-tuning has no adapter, only a merged model', async () => {
  const id = await succeeded({ type: 'none' }, ['merged']);
  await expect(openAdapter(s, actor, id, { format: 'native', lambda: 1 }, unasked)).rejects.toMatchObject({
    code: 'unsupported_format',
    hint: 'Ask for ?format=merged.',
  });
});

test('a reader that goes away in the middle leaves no file open', async () => {
  const id = await succeeded({}, ['adapter']);
  const { stream } = await openAdapter(s, actor, id, { format: 'native', lambda: 1 }, unasked);
  for await (const piece of stream) if ((piece as Buffer).length > 0) break;
  expect(stream.destroyed).toBe(true);
});

describe('what is not stored', () => {
  const report = {
    parity: { prompts: 4, tokens: 128, max_logit_difference: 1e-6, max_logit: 12, top1_agreement: 1 },
    rounding: { dtype: 'BF16', share: 0.02, worst: 0.04, worst_weight: 'model.layers.0.mlp.up_proj.weight' },
    notes: ['a limit'],
    problem: null as string | null,
  };
  const addMerged = (runId: string, problem: string | null) =>
    s.db.adapter.create({
      data: {
        ...{ id: newId('adapter'), projectId: actor.projectId, runId, attempt: 1, kind: 'merged' },
        ...{ sizeBytes: 1_000, report: { ...report, problem } },
      },
    });

  test('is made of the base and the adapter, at a share and in a form', async () => {
    const id = await succeeded({}, ['adapter', 'peft']);
    await addMerged(id, null);
    const { orders, make } = recording();
    const names = [];
    for (const query of [
      { format: 'merged', lambda: 1 },
      { format: 'native', lambda: 0.5 },
      { format: 'lora', lambda: 1, rank: 16, allow_error: 0.2 },
    ] as const) {
      const { filename, stream } = await openAdapter(s, actor, id, query, make);
      expect(String(await buffer(stream))).toBe('tar');
      names.push(filename);
    }
    expect(names).toEqual([`${id}-merged.tar`, `${id}-native-lambda-0.5.tar`, `${id}-lora-r16.tar`]);
    expect(orders.map(({ format, lambda, rank, maxError }) => [format, lambda, rank, maxError])).toEqual([
      ['merged', 1, undefined, undefined],
      ['native', 0.5, undefined, undefined],
      ['lora', 1, 16, 0.2],
    ]);
    for (const { baseDir, baseName, resultDir } of orders) {
      expect(baseName).toBe('tiny');
      expect(await readdir(baseDir)).toContain('config.json');
      expect((await readdir(resultDir)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'nested']);
    }
  });

  test('is made of the whole model after full fine-tuning', async () => {
    const id = await succeeded({ type: 'none' }, ['merged']);
    const { orders, make } = recording();
    await openAdapter(s, actor, id, { format: 'merged', lambda: 0.5 }, make);
    expect(orders[0]?.resultDir).toMatch(/exports\/merged$/);
  });

  test('is listed among the downloads with what is known of it; one that is wrong is not, and is refused with the reason', async () => {
    const good = await succeeded({}, ['adapter']);
    await addMerged(good, null);
    expect(await getRun(s, actor, good)).toMatchObject({
      exports: ['adapter', 'merged'],
      downloads: [
        { format: 'native', stored: true, parity: null, notes: [], problem: null },
        { format: 'merged', stored: false, bytes: 1_000, ...report },
      ],
    });
    const bad = await succeeded({}, ['adapter']);
    await addMerged(bad, 'Its weights overflow.');
    expect((await getRun(s, actor, bad)).exports).toEqual(['adapter']);
    await expect(openAdapter(s, actor, bad, { format: 'merged', lambda: 1 }, unasked)).rejects.toMatchObject({
      code: 'unsupported_format',
      message: 'Its weights overflow.',
    });
  });

  test('takes a rank and an allowed error in format lora alone', async () => {
    const id = await succeeded({}, ['adapter']);
    const refused = (query: Parameters<typeof openAdapter>[3]) =>
      expect(openAdapter(s, actor, id, query, unasked)).rejects;
    await refused({ format: 'lora', lambda: 1 }).toMatchObject({ code: 'invalid_value', param: 'rank' });
    await refused({ format: 'peft', lambda: 1, rank: 4 }).toMatchObject({ code: 'invalid_value', param: 'rank' });
    await refused({ format: 'merged', lambda: 1, allow_error: 0.1 }).toMatchObject({ param: 'allow_error' });
  });

  test('is copied to this machine where the store is elsewhere, and the copies go with the stream', async () => {
    const id = await succeeded({}, ['adapter']);
    const away: Services = { ...s, blobs: { ...s.blobs, localPath: () => null } };
    const { orders, make } = recording();
    const { stream } = await openAdapter(away, actor, id, { format: 'merged', lambda: 1 }, make);
    const [order] = orders;
    expect(await readdir(order?.resultDir ?? '')).toContain('nested');
    stream.destroy();
    await vi.waitFor(async () => expect(await readdir(order?.resultDir ?? '').catch(() => null)).toBeNull());
  });
});
