import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { newId } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { extract } from 'tar-stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Actor, createBaseFromDir, createRun, openAdapter, type Services } from '../src/index.js';
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

test('the tar holds the files of the folder, byte by byte, without a folder around them', async () => {
  const id = await succeeded({}, ['adapter', 'peft', 'merged']);
  for (const format of ['native', 'peft', 'merged'] as const) {
    const { filename, stream } = await openAdapter(s, actor, id, format);
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
  await expect(openAdapter(s, actor, id, 'native')).rejects.toMatchObject({
    code: 'not_ready',
    message: expect.stringContaining('queued at step 0 of 50'),
  });
});

test('MoRA with rotation has no PEFT form: why, and what to ask for', async () => {
  const id = await succeeded({ type: 'mora', rank: 4, mora_type: 6 }, ['adapter', 'merged']);
  await expect(openAdapter(s, actor, id, 'peft')).rejects.toMatchObject({
    code: 'unsupported_format',
    param: 'format',
    message: expect.stringContaining('MoRA type 6'),
    hint: expect.stringContaining('?format=merged'),
  });
});

test('full fine-tuning has no adapter, only a merged model', async () => {
  const id = await succeeded({ type: 'none' }, ['merged']);
  await expect(openAdapter(s, actor, id, 'native')).rejects.toMatchObject({
    code: 'unsupported_format',
    hint: 'Ask for ?format=merged.',
  });
});

test('a reader that goes away in the middle leaves no file open', async () => {
  const id = await succeeded({}, ['adapter']);
  const { stream } = await openAdapter(s, actor, id, 'native');
  for await (const piece of stream) if ((piece as Buffer).length > 0) break;
  expect(stream.destroyed).toBe(true);
});
