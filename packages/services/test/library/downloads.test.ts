import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { testServices } from '@moraine/testing';
import { startHub, type TestHub } from '@moraine/testing/hub';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import {
  type Actor,
  collectStaleUploads,
  createBaseFromDir,
  createRun,
  type DownloaderOptions,
  deleteModel,
  downloadBase,
  getModel,
  listModels,
  type Services,
  startDownloader,
} from '../../src/index.js';
import { defaultActor, goodRows, tinyFiles, uploadRows, writeFolder } from '../tiny-base.js';

// Downloads from a real server on loopback that speaks the hub's file endpoints.
const COMMIT = 'c0ffee'.padEnd(40, '0');
const CDN = /^\/[0-9a-f]{64}$/;
const t = await testServices();
const s: Services = t.services;
let actor: Actor;
let hub: TestHub;
beforeAll(async () => {
  actor = await defaultActor(s);
  const repo = { commit: COMMIT, names: ['main'], files: tinyFiles() };
  hub = await startHub({
    'org/tiny': repo,
    'org/gated': { ...repo, needs: { token: 'hf_right', code: 'GatedRepo' } },
    'org/broken': { ...repo, files: { ...repo.files, 'model.safetensors': 'none' } },
  });
});
const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});
afterAll(async () => {
  await hub.close();
  await t.close();
});

const patience = { tries: 2, waitMs: 1, waitMsMax: 100, stallMs: 30_000 };

function startOne({ hub: address, ...options }: Partial<DownloaderOptions> = {}) {
  const one = startDownloader(s, {
    hub: { endpoint: hub.endpoint, patience, ...address },
    sizeBytesMax: 1e9,
    intervalMs: 10,
    leaseMs: 2_000,
    ...options,
  });
  opened.push(one);
  return one;
}

const ask = (name: string, source = 'hf:org/tiny') => downloadBase(s, actor, { name, source });
const find = (name: string) => getModel(s, actor, name);

/** The model once it is as wanted; how long that takes is the machine's affair. */
async function until(name: string, wanted: (model: Awaited<ReturnType<typeof find>>) => boolean) {
  for (;;) {
    const model = await find(name);
    if (wanted(model)) return model;
    await sleep(10);
  }
}
const settled = (name: string) => until(name, ({ status }) => status !== 'processing');
const kept = (): Promise<string[]> => readdir(join(t.blobsDir, 'hub')).catch(() => []);

describe('a base of the hub', () => {
  test('is downloaded in the background, registered as its files would be, and leaves nothing beside it', async () => {
    const asked = await ask('of-hub');
    expect(asked).toMatchObject({ status: 'processing', source: 'hf:org/tiny@main', parameters: null });
    startOne();
    const base = await settled('of-hub');
    const sent = await createBaseFromDir(s, actor, { name: 'sent', dir: await writeFolder(tinyFiles()) });
    const own = { id: 'of-hub', created: base.created, source: 'hf:org/tiny@main', commit: COMMIT };
    expect(base).toEqual({ ...sent, ...own });
    while ((await kept()).length > 0) await sleep(10);
    const file = await uploadRows(s, actor, goodRows(64));
    expect((await createRun(s, actor, { model: 'of-hub', training_file: file.id })).model).toBe('of-hub');
  });

  test('is the same base when it is asked for again, before and after it is here', async () => {
    const first = await ask('again');
    expect(await ask('again', 'hf:org/tiny@main')).toEqual(first);
    startOne();
    const base = await settled('again');
    expect(base.status).toBe('ready');
    expect(await ask('again')).toEqual(base);
    await expect(ask('again', 'hf:org/gated')).rejects.toMatchObject({ code: 'conflict', param: 'name' });
  });

  test('shows how far it is and why nothing comes, cannot be trained yet, and holds its name', async () => {
    hub.fail(CDN, { stallAfter: 100 });
    await ask('slow');
    startOne();
    const slow = await until('slow', ({ download }) => (download?.bytes ?? 0) > 0);
    expect(slow).toMatchObject({ status: 'processing', commit: COMMIT });
    expect(slow.download?.bytes_total).toBeGreaterThan(slow.download?.bytes ?? 0);
    expect((await listModels(s, actor)).data).toContainEqual(expect.objectContaining({ id: 'slow', kind: 'base' }));
    await expect(createRun(s, actor, { model: 'slow', training_file: 'file-x' })).rejects.toMatchObject({
      code: 'not_ready',
      message: expect.stringContaining('still being downloaded from hf:org/tiny@main'),
    });
    const dir = await writeFolder(tinyFiles());
    await expect(createBaseFromDir(s, actor, { name: 'slow', dir })).rejects.toMatchObject({ code: 'conflict' });
    await deleteModel(s, actor, 'slow');
    await expect(find('slow')).rejects.toMatchObject({ code: 'not_found' });
    // Whoever downloads it sees that and takes its files away.
    while ((await kept()).length > 0) await sleep(10);
    await expect(createBaseFromDir(s, actor, { name: 'slow', dir })).resolves.toMatchObject({ status: 'ready' });
  });

  test('that was cut by the end of its process goes on in the next one where it stopped', async () => {
    hub.fail(CDN, { stallAfter: 700 });
    await ask('cut');
    const first = startOne();
    await until('cut', ({ download }) => (download?.bytes ?? 0) > 700);
    await first.close();
    expect((await find('cut')).status).toBe('processing');
    hub.requests.length = 0;
    startOne();
    expect((await settled('cut')).status).toBe('ready');
    expect(hub.requests.filter(({ server }) => server === 'cdn').map(({ range }) => range)).toEqual(['bytes=700-']);
  });

  test('of a process that died is taken over once its lease has run out, and by one process only', async () => {
    await ask('orphan');
    const lease = (until: string) =>
      s.pg.query(`UPDATE base_downloads SET holder = 'dead', lease_until = ${until} WHERE name = 'orphan'`);
    await lease("now() + interval '1 hour'");
    hub.requests.length = 0;
    startOne();
    startOne();
    await sleep(100);
    expect(hub.requests).toEqual([]);
    await lease('now()');
    expect((await settled('orphan')).status).toBe('ready');
    expect(hub.requests.filter(({ path }) => path.includes('/revision/'))).toHaveLength(1);
  });
});

describe('a download that fails', () => {
  test('says why, is not tried for ever, and goes on when it is asked for again', async () => {
    await ask('gated', 'hf:org/gated');
    const wrong = startOne();
    const { status, error } = await settled('gated');
    expect([status, error?.code, error?.message]).toEqual([
      'error',
      'forbidden',
      expect.stringMatching(/org\/gated is gated .*HF_TOKEN/),
    ]);
    await wrong.close();
    startOne({ hub: { token: 'hf_right' } });
    await sleep(50);
    expect((await find('gated')).status).toBe('error');
    expect((await ask('gated', 'hf:org/gated')).status).toBe('processing');
    expect((await settled('gated')).status).toBe('ready');
  });

  test('keeps what has arrived of a hub that is away, and throws away what is no base', async () => {
    hub.fail(CDN, { cutAfter: 700 }, { status: 503 }, { status: 503 });
    await ask('away');
    startOne();
    expect((await settled('away')).error?.code).toBe('unavailable');
    await ask('broken', 'hf:org/broken');
    expect((await settled('broken')).error?.code).toBe('invalid_base');
    const [folder] = await kept();
    expect(await kept()).toHaveLength(1);
    await collectStaleUploads(s, -1);
    expect(await kept()).toEqual([folder]);
    await s.pg.query(`UPDATE base_downloads SET finished_at = now() - interval '2 days' WHERE name = 'away'`);
    await collectStaleUploads(s, -1);
    expect(await kept()).toEqual([]);
    await expect(createRun(s, actor, { model: 'broken', training_file: 'file-x' })).rejects.toThrow(
      /'broken' could not be downloaded from hf:org\/broken@main: .*model.safetensors/,
    );
  });

  test('is refused before a weight has come where it is larger than a base may be', async () => {
    hub.requests.length = 0;
    await ask('large');
    startOne({ sizeBytesMax: 1000 });
    expect((await settled('large')).error?.code).toBe('file_too_large');
    expect(hub.requests.filter(({ server }) => server === 'cdn')).toEqual([]);
  });

  test.each(['localhost', 'http://user:secret@127.0.0.1'])('says that %s is no hub', async (endpoint) => {
    const name = `no-hub-${endpoint.length}`;
    await ask(name);
    startOne({ hub: { endpoint } });
    expect((await settled(name)).error).toMatchObject({ code: 'invalid_value', param: 'HF_ENDPOINT' });
  });
});

test.each([
  'http://169.254.169.254/latest',
  'hf:http://127.0.0.1:6379/x',
  'hf:org/tiny@../../api/whoami',
  'hf:../../etc/passwd',
  'hf:127.0.0.1:5432/org/tiny',
  'org/tiny',
])('%s names no model of the hub, and nothing is asked for', async (source) => {
  await expect(ask('elsewhere', source)).rejects.toMatchObject({ code: 'invalid_value', status: 400 });
  await expect(find('elsewhere')).rejects.toMatchObject({ code: 'not_found' });
});

test('one project does not fill the queue of downloads without end', async () => {
  const answers = await Promise.allSettled(Array.from({ length: 40 }, (_, i) => ask(`many-${i}`)));
  const refused = answers.flatMap((one) => (one.status === 'rejected' ? [one.reason.code] : []));
  expect(new Set(refused)).toEqual(new Set(['rate_limited']));
  expect(answers.length - refused.length).toBeGreaterThanOrEqual(32);
  for (const { id } of (await listModels(s, actor)).data.filter(({ id }) => id.startsWith('many-')))
    await deleteModel(s, actor, id);
  expect((await listModels(s, actor)).data.filter(({ id }) => id.startsWith('many-'))).toEqual([]);
});

test('a base goes with its files unless something was trained on it', async () => {
  const dir = await writeFolder(tinyFiles());
  await createBaseFromDir(s, actor, { name: 'unused', dir });
  const before = (await readdir(join(t.blobsDir, 'bases'))).length;
  expect(await deleteModel(s, actor, 'unused')).toEqual({ id: 'unused', object: 'model', deleted: true });
  expect(await readdir(join(t.blobsDir, 'bases'))).toHaveLength(before - 1);
  await createBaseFromDir(s, actor, { name: 'used', dir });
  const file = await uploadRows(s, actor, goodRows(64));
  await createRun(s, actor, { model: 'used', training_file: file.id });
  await expect(deleteModel(s, actor, 'used')).rejects.toMatchObject({ code: 'conflict', param: 'model' });
  expect((await find('used')).status).toBe('ready');
});
