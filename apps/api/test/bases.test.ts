import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { startDownloader } from '@moraine/services';
import { startHub } from '@moraine/testing/hub';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { baseFiles, baseForm, safetensors } from './fixtures.js';
import { startApi, type TestApi } from './support.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi({ baseLimitBytes: 200_000 });
});
afterAll(() => api.close());

const register = (name: string, files = baseFiles()) => api.ask('POST', '/v1/bases', { body: baseForm(name, files) });

const storedFiles = async (): Promise<string[]> =>
  (await readdir(api.blobsDir, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}/${entry.name}`.slice(api.blobsDir.length + 1));

describe('registering a base', () => {
  it('makes it a model, found by its name', async () => {
    const made = await register('tiny-1.0');
    expect([made.status, made.json]).toMatchObject([
      200,
      { id: 'tiny-1.0', object: 'model', kind: 'base', context: 128 },
    ]);
    expect((await api.ask('GET', '/v1/models/tiny-1.0')).json).toEqual(made.json);
  });

  it('answers the same base to the same files, and refuses its name to others', async () => {
    const first = await register('taken');
    expect((await register('taken')).json).toEqual(first.json);
    const other = await register('taken', { ...baseFiles(), 'README.md': '# another' });
    expect([other.status, other.json.error]).toMatchObject([409, { code: 'conflict', param: 'name' }]);
    // The bytes that came a second time are not kept.
    expect(await readdir(join(api.blobsDir, 'incoming'))).toEqual([]);
  });

  it('is done once for one Idempotency-Key, which is refused to another name or other files', async () => {
    const send = (key: string, name: string, files = baseFiles()) =>
      api.ask('POST', '/v1/bases', { body: baseForm(name, files), headers: { 'idempotency-key': key } });
    const all = await Promise.all(Array.from({ length: 3 }, () => send('base 1', 'keyed')));
    expect(all.map(({ status, json }) => [status, json.id])).toEqual(all.map(() => [200, 'keyed']));
    const others = [
      await send('base 1', 'keyed-too'),
      await send('base 1', 'keyed', { ...baseFiles(), 'README.md': 'b' }),
    ];
    for (const other of others) {
      expect([other.status, other.json.error.param, other.headers.get('x-should-retry')]).toEqual([
        409,
        'Idempotency-Key',
        'false',
      ]);
    }
    // Two at once under one key: whoever is second is told, not given the other's base.
    const both = await Promise.all([send('base 2', 'first'), send('base 2', 'second')]);
    expect(both.map(({ status }) => status).sort()).toEqual([200, 409]);
    expect(both.find(({ status }) => status === 409)?.json.error.param).toBe('Idempotency-Key');
    expect((await send('x'.repeat(256), 'long-key')).json.error.param).toBe('Idempotency-Key');
  });

  it.each(['../config.json', '/etc/passwd', 'a/../../b', '..\\b', 'a\\..\\..\\b', 'C:\\b'])(
    'refuses a file called %s and stores nothing of the form',
    async (path) => {
      const before = await storedFiles();
      const answer = await register(`bad-${path.length}`, { ...baseFiles(), [path]: 'x' });
      expect(answer.status).toBe(400);
      expect(answer.json.error.message).toContain(path.split(/[\\/]/).at(-1));
      expect(await storedFiles()).toEqual(before);
    },
  );

  it.each([
    ['no config.json', { 'config.json': undefined }, /config\.json/],
    ['weights in pickle', { 'pytorch_model.bin': 'x' }, /pytorch_model\.bin|safetensors/],
    [
      'weights that the configuration does not have',
      { 'model.safetensors': safetensors({ 'model.norm.weight': [3] }) },
      /model\./,
    ],
    ['another architecture', { 'config.json': '{"model_type":"gpt2","architectures":["GPT2LMHeadModel"]}' }, /gpt2/i],
  ])('refuses %s', async (_what, change, message) => {
    const files = Object.entries({ ...baseFiles(), ...change }).flatMap(([path, bytes]) =>
      bytes === undefined ? [] : [[path, bytes] as const],
    );
    const answer = await register('refused', Object.fromEntries(files));
    expect(answer.status).toBe(400);
    expect(answer.json.error.message).toMatch(message);
  });

  it('refuses a form without a name, and one that is too large in all', async () => {
    const form = baseForm('x');
    form.delete('name');
    expect((await api.ask('POST', '/v1/bases', { body: form })).json.error.param).toBe('name');
    const large = { ...baseFiles(), 'a.txt': 'x'.repeat(150_000), 'b.txt': 'x'.repeat(150_000) };
    expect((await register('large', large)).status).toBe(413);
  });
});

describe('a base that the server downloads', () => {
  const ask = (body: object) => api.ask('POST', '/v1/bases', { body });

  it('is asked for as JSON, seen on its way, and found by its name once it is here', async () => {
    const files = Object.fromEntries(Object.entries(baseFiles()).map(([name, bytes]) => [name, Buffer.from(bytes)]));
    const hub = await startHub({ 'org/tiny': { commit: 'c0ffee'.padEnd(40, '0'), names: ['v1'], files } });
    const asked = await ask({ name: 'of-hub', source: 'hf:org/tiny@v1' });
    expect([asked.status, asked.json]).toMatchObject([200, { id: 'of-hub', status: 'processing' }]);
    expect((await api.ask('GET', '/v1/models/of-hub')).json).toEqual(asked.json);
    const downloader = startDownloader(api.services, { hub, sizeBytesMax: 1e9, intervalMs: 10 });
    let found = asked.json;
    while (found.status === 'processing') found = (await api.ask('GET', '/v1/models/of-hub')).json;
    expect(found).toMatchObject({ id: 'of-hub', status: 'ready', source: 'hf:org/tiny@v1', context: 128 });
    await downloader.close();
    await hub.close();
  });

  it('is deleted on its way', async () => {
    await ask({ name: 'never', source: 'hf:org/never' });
    const deleted = await api.ask('DELETE', '/v1/models/never');
    expect([deleted.status, deleted.json]).toEqual([200, { id: 'never', object: 'model', deleted: true }]);
    expect((await api.ask('GET', '/v1/models/never')).status).toBe(404);
    expect((await api.ask('DELETE', '/v1/models/never')).status).toBe(404);
  });

  it.each([
    [{ name: 'x', source: 'hf:org/tiny', revison: 'v1' }, 'revison'],
    [{ name: 'x' }, 'source'],
    [{ name: 'x', source: 'https://example.com/model' }, 'source'],
    [{ name: '../x', source: 'hf:org/tiny' }, 'name'],
    [{}, 'name'],
  ])('is refused as %j', async (body, param) => {
    const { status, json } = await ask(body);
    expect([status, json.error.param]).toEqual([400, param]);
  });
});
