import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { baseFiles, baseForm, safetensors } from './fixtures.js';
import { startApi, type TestApi } from './support.js';

let api: TestApi;
beforeAll(async () => {
  api = await startApi({ baseLimitBytes: 200_000 });
  await api.ask('POST', '/v1/bases', { body: baseForm('tiny') });
});
afterAll(() => api.close());

const Q = 'base_model.model.model.layers.0.self_attn.q_proj';
const ADAPTER: Record<string, string | Uint8Array> = {
  'adapter_config.json': JSON.stringify({
    peft_type: 'LORA',
    r: 2,
    lora_alpha: 4,
    target_modules: ['q_proj'],
    base_model_name_or_path: 'tiny',
  }),
  'adapter_model.safetensors': safetensors({ [`${Q}.lora_A.weight`]: [2, 16], [`${Q}.lora_B.weight`]: [16, 2] }),
};

type Entry = Parameters<ReturnType<typeof pack>['entry']>[0];

/** A tar of these files, whatever `more` of each entry says. */
async function tarOf(
  files: Record<string, string | Uint8Array>,
  more: Partial<Entry> = {},
): Promise<Buffer<ArrayBuffer>> {
  const tar = pack();
  for (const [name, bytes] of Object.entries(files)) tar.entry({ name, ...more }, more.type ? '' : Buffer.from(bytes));
  tar.finalize();
  return Buffer.from(await buffer(tar));
}

const below = (folder: string, files: Record<string, string | Uint8Array>) =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${folder}${name}`, bytes]));

function send(path: string, name: string, bytes: Buffer<ArrayBuffer>, filename: string) {
  const form = new FormData();
  form.append('name', name);
  form.append('files', new Blob([bytes]), filename);
  return api.ask('POST', path, { body: form });
}

const TOOLS = 'additional_chat_templates/tool_use.jinja';

/** The files of a registered base. */
async function namesOf(name: string): Promise<string[]> {
  const { blobPrefix } = await api.services.db.base.findFirstOrThrow({ where: { name } });
  return (await api.services.blobs.list(blobPrefix)).map(({ path }) => path);
}

describe('a folder that comes as one tar', () => {
  it.each([
    ['flat.tar', ADAPTER],
    ['here.tar', { './': '', ...below('./', ADAPTER) }],
    ['folder.tar.gz', below('my-adapter/', ADAPTER)],
    ['of-a-mac.tgz', { ...below('a/', ADAPTER), 'a/._adapter_config.json': 'x', 'a/.DS_Store': 'x' }],
  ])('%s is the adapter that its files are', async (filename, files) => {
    const tar = await tarOf(files);
    const sent = await send('/v1/adapters', 'mine', /gz$/.test(filename) ? gzipSync(tar) : tar, filename);
    expect([sent.status, sent.json]).toMatchObject([200, { id: 'mine', kind: 'adapter', parent: 'tiny' }]);
    const form = new FormData();
    form.append('name', 'mine');
    for (const [name, bytes] of Object.entries(ADAPTER)) form.append('files', new Blob([bytes as string]), name);
    // The same files under the same name are the adapter that is there.
    expect((await api.ask('POST', '/v1/adapters', { body: form })).json).toEqual(sent.json);
  });

  it('is a base as well', async () => {
    const sent = await send('/v1/bases', 'of-tar', await tarOf(baseFiles()), 'base.tar');
    expect([sent.status, sent.json]).toMatchObject([200, { id: 'of-tar', kind: 'base', context: 128 }]);
  });

  it.each([
    ['in a folder of a tar', (files: Record<string, string | Uint8Array>) => below('base/', files)],
    ['at the top of a tar', (files: Record<string, string | Uint8Array>) => files],
  ])('keeps chat templates that have a name of their own %s', async (where, place) => {
    const name = `named-${where.length}`;
    const sent = await send('/v1/bases', name, await tarOf(place({ ...baseFiles(), [TOOLS]: 'x' })), 'base.tar');
    expect(sent.json).toMatchObject({ id: name });
    expect(await namesOf(name)).toContain(TOOLS);
  });

  it('keeps them where each file comes alone', async () => {
    const form = baseForm('named-alone');
    form.append('files', new Blob(['x']), TOOLS);
    expect((await api.ask('POST', '/v1/bases', { body: form })).json).toMatchObject({ id: 'named-alone' });
    expect(await namesOf('named-alone')).toContain(TOOLS);
  });

  const zeros = (bytes: number) => Buffer.alloc(bytes);
  /** A head of 8 GiB for all files behind it. */
  const longHead = async () => {
    const head = zeros(1_100_000);
    for (const [text, at] of [
      ...([
        ['x', 0],
        ['77777777777', 124],
        [' '.repeat(8), 148],
        ['g', 156],
        ['ustar', 257],
        ['00', 263],
      ] as const),
    ])
      head.write(text, at);
    const sum = head.subarray(0, 512).reduce((a, b) => a + b, 0);
    head.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return head;
  };
  const endless = async () => Buffer.concat([await tarOf(ADAPTER), zeros(70 * 2 ** 20)]);
  it.each([
    ['no tar', async () => Buffer.from('x'.repeat(2000)), 'a.tar', 'cannot be unpacked'],
    ['no tar, and long', async () => Buffer.from('x'.repeat(190_000)), 'a.tar', 'cannot be unpacked'],
    ['a tar that is named as gzip', async () => tarOf(ADAPTER), 'a.tar.gz', 'cannot be unpacked'],
    ['no gzip, and long', async () => Buffer.from('x'.repeat(1_100_000)), 'a.tar.gz', 'cannot be unpacked (incorrect'],
    ['a head that never ends', longHead, 'a.tar', 'Header exceeds max size'],
    ['nothing behind its end', async () => gzipSync(await endless()), 'a.tgz', 'beside its files'],
    ['one cut short', async () => (await tarOf(ADAPTER)).subarray(0, 700), 'a.tar', 'cannot be unpacked'],
    ['an empty one', async () => tarOf({}), 'a.tar', 'is empty'],
    ['several folders', async () => tarOf({ 'a/x.json': '{}', 'b/y.json': '{}' }), 'a.tar', 'several folders: a/, b/'],
    ['a link', async () => tarOf({ 'x.json': '' }, { type: 'symlink', linkname: '/etc/passwd' }), 'a.tar', 'symlink'],
    ['pickled weights', async () => tarOf({ 'adapter_model.bin': 'x' }), 'a.tar', 'may hold pickled'],
    ['a path out of it', async () => tarOf({ '../../x.json': '{}', 'y.json': '{}' }), 'a.tar', 'several folders'],
    ['more than a base may be', async () => gzipSync(await tarOf({ '.x': zeros(300_000) })), 'a.tgz', '200000 bytes'],
    ['no adapter', async () => tarOf({ 'config.json': '{}' }), 'a.tar', 'neither adapter_config.json'],
  ])('is refused with %s, and nothing stays of it', async (_what, make, filename, message) => {
    const { status, json } = await send('/v1/adapters', 'other', await make(), filename);
    expect([Math.floor(status / 100), json.error.message]).toEqual([4, expect.stringContaining(message)]);
    expect(await api.services.blobs.list('incoming')).toEqual([]);
  });
});
