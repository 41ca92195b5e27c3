import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startHub, type TestHub } from '@moraine/testing/hub';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type FetchedBase, fetchBase, openHub, parseHubSource } from '../../src/hub/index.js';
import { COMMIT, tinyRepo } from './tiny-repo.js';

// Downloads from a real server on loopback; what goes wrong is what that server does.
const dir = mkdtempSync(join(tmpdir(), 'moraine hub '));
const folder = join(dir, 'org--tiny');
let hub: TestHub;
beforeAll(async () => {
  hub = await startHub({});
});
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  hub.repos['org/tiny'] = tinyRepo();
  hub.requests.length = 0;
});
afterAll(async () => {
  await hub.close();
  rmSync(dir, { recursive: true });
});

const waits: string[] = [];
const patience = { tries: 3, waitMs: 1, waitMsMax: 5_000, stallMs: 5_000 };

async function fetchTiny(source = 'hf:org/tiny', options: Parameters<typeof openHub>[0] = {}): Promise<FetchedBase> {
  waits.length = 0;
  const onWait = (reason: string): void => void waits.push(reason);
  const opened = openHub({ endpoint: hub.endpoint, patience, onWait, ...options });
  const fetched = await fetchBase(opened, parseHubSource(source), { dir, onPlan: () => {}, onProgress: () => {} });
  await fetched.free();
  return fetched;
}

/** Where the requests for a file's bytes began, in order. */
const startsOf = (server: 'hub' | 'cdn', path = ''): number[] =>
  hub.requests
    .filter((one) => one.server === server && one.path.endsWith(path))
    .map(({ range }) => Number(/^bytes=(\d+)-$/.exec(range ?? 'bytes=0-')?.[1]));

const weights = (): Buffer => hub.repos['org/tiny']?.files['model.safetensors'] as Buffer;
const arrived = (file = 'model.safetensors'): Buffer => readFileSync(join(folder, file));

test('a file that is read whole is refused by its size, before any of it has come', async () => {
  hub.repos['org/tiny'] = tinyRepo({ 'tokenizer.json': Buffer.alloc(64 * 1024 ** 2 + 1) });
  await expect(fetchTiny()).rejects.toMatchObject({
    code: 'invalid_base',
    param: 'tokenizer.json',
    message: expect.stringContaining('67.1 MB'),
  });
  expect(hub.requests.filter(({ path }) => path.includes('/resolve/'))).toEqual([]);
});

test('an aborted download ends at once and leaves what has arrived', async () => {
  hub.fail(/^\/[0-9a-f]{64}$/, { stallAfter: 1000 });
  const stop = new AbortController();
  const fetched = fetchTiny('hf:org/tiny', { signal: stop.signal });
  while (!hub.requests.some(({ server }) => server === 'cdn')) await sleep(5);
  await sleep(50);
  stop.abort();
  await expect(fetched).rejects.toMatchObject({ name: 'AbortError' });
  hub.requests.length = 0;
  await fetchTiny();
  expect(startsOf('cdn')).toEqual([1000]);
});

test('a base is its configuration, tokenizer and safetensors; nothing pickled, executed or in a folder comes along', async () => {
  const plans: unknown[] = [];
  const seen: { file: string; bytes: number; sizeBytes: number }[] = [];
  const fetched = await fetchBase(openHub({ endpoint: hub.endpoint }), parseHubSource('hf:org/tiny@refs/pr/1'), {
    dir,
    onPlan: (plan) => plans.push(plan),
    onProgress: (progress) => seen.push(progress),
  });
  const names = [
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ];
  await fetched.free();
  expect(fetched).toMatchObject({ commit: COMMIT, dir: folder });
  expect([...fetched.files.keys()].sort()).toEqual(names);
  expect(readdirSync(folder).sort()).toEqual(names);
  expect(arrived().equals(weights())).toBe(true);
  const sizeBytes = names.reduce((sum, name) => sum + arrived(name).length, 0);
  expect(plans).toEqual([{ commit: COMMIT, files: 5, sizeBytes }]);
  expect(seen.at(-1)).toEqual({ file: 'model.safetensors', bytes: sizeBytes, sizeBytes });
});

test('chat templates with a name of their own come along in their folder, and no other file of it', async () => {
  const name = 'additional_chat_templates/tool_use.jinja';
  const others = { 'additional_chat_templates/run.py': 'import os', 'other/tool_use.jinja': 'x' };
  hub.repos['org/tiny'] = tinyRepo({ [name]: '{{ tools }}', ...others });
  const fetched = await fetchTiny();
  expect([...fetched.files.keys()].filter((one) => one.includes('/'))).toEqual([name]);
  expect(readFileSync(fetched.files.get(name) ?? '', 'utf8')).toBe('{{ tools }}');
  expect(readdirSync(folder)).toContain('additional_chat_templates');
});

test('of several weight files those are fetched that the index names', async () => {
  const [a, b] = ['model-00001-of-00002.safetensors', 'model-00002-of-00002.safetensors'];
  const files = tinyRepo({
    [a]: randomBytes(100),
    [b]: randomBytes(100),
    'consolidated.safetensors': randomBytes(100),
    'model.safetensors.index.json': JSON.stringify({ weight_map: { x: a, y: b } }),
  }).files;
  delete files['model.safetensors'];
  hub.repos['org/tiny'] = { ...tinyRepo(), files };
  const fetched = await fetchTiny();
  expect([...fetched.files.keys()].filter((name) => name.includes('safetensors')).sort()).toEqual([
    ...[a, b, 'model.safetensors.index.json'],
  ]);
});

test('the token goes to the hub and not to the other host that it redirects to', async () => {
  await fetchTiny('hf:org/tiny', { token: 'hf_secret' });
  const sent = (server: string): (string | null)[] => [
    ...new Set(hub.requests.filter((one) => one.server === server).map((one) => one.authorization)),
  ];
  expect([sent('hub'), sent('cdn')]).toEqual([['Bearer hf_secret'], [null]]);
});

describe('a download that is cut', () => {
  test('goes on where it stopped, and the waits are said', async () => {
    hub.fail(/^\/[0-9a-f]{64}$/, { cutAfter: 100_000 }, { cutAfter: 50_000 });
    await fetchTiny();
    expect(arrived().equals(weights())).toBe(true);
    const [first, second, third, ...rest] = startsOf('cdn');
    expect([first, rest]).toEqual([0, []]);
    // What was sent last before a cut may be lost on the way.
    expect(second).toBeGreaterThan(0);
    expect(second).toBeLessThanOrEqual(100_000);
    expect(third).toBeGreaterThan(second ?? 0);
    expect(third).toBeLessThanOrEqual((second ?? 0) + 50_000);
    // The address of a file is its hash here, and its etag too.
    const last = hub.requests.findLast(({ server }) => server === 'cdn');
    expect(last?.ifRange).toBe(`"${last?.path.slice(1)}"`);
    expect(waits).toHaveLength(2);
  });

  test('is given up after as many tries as bring nothing, and the next call goes on', async () => {
    hub.fail(/^\/[0-9a-f]{64}$/, { cutAfter: 100_000 }, { status: 503 }, { status: 503 }, { status: 503 });
    await expect(fetchTiny()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/^http:\S+ answers 503, 3 times in a row\.$/),
      hint: expect.stringContaining('goes on there'),
    });
    expect(readdirSync(folder)).not.toContain('model.safetensors');
    const [part = ''] = readdirSync(folder).filter((name) => name.endsWith('.part'));
    const { size } = statSync(join(folder, part));
    expect(size).toBeGreaterThan(0);
    hub.requests.length = 0;
    await fetchTiny();
    expect(startsOf('cdn')).toEqual([size]);
    expect(arrived().equals(weights())).toBe(true);
    hub.requests.length = 0;
    await fetchTiny();
    expect(startsOf('cdn')).toEqual([]);
  });

  test('begins anew where the server does not go on in the middle', async () => {
    hub.fail(/^\/[0-9a-f]{64}$/, { cutAfter: 100_000 }, { ignoreRange: true });
    await fetchTiny();
    expect(arrived().equals(weights())).toBe(true);
  });

  test('counts as cut when nothing comes any more', async () => {
    hub.fail(/^\/[0-9a-f]{64}$/, { stallAfter: 100_000 });
    await fetchTiny('hf:org/tiny', { patience: { ...patience, stallMs: 1_000 } });
    expect(startsOf('cdn')).toEqual([0, 100_000]);
    expect(waits).toEqual([expect.stringContaining('silent for 1000 ms')]);
    expect(arrived().equals(weights())).toBe(true);
  });
});

describe('bytes that are not those of the record', () => {
  const wrong = randomBytes(300_000);
  test('are thrown away and fetched once more', async () => {
    hub.fail(/^\/[0-9a-f]{64}$/, { bytes: wrong });
    await fetchTiny();
    expect(waits).toEqual([expect.stringContaining('model.safetensors arrived with another hash')]);
    expect(arrived().equals(weights())).toBe(true);
  });

  test.each([
    ['the same number of others, twice', [wrong, wrong], /have the sha256 hash [0-9a-f]{64}, not [0-9a-f]{64}/],
    ['more', [randomBytes(300_001)], /are more than the 300000 of its record/],
  ])('are refused: %s', async (_, faults, message) => {
    hub.fail(/^\/[0-9a-f]{64}$/, ...faults.map((bytes) => ({ bytes })));
    await expect(fetchTiny()).rejects.toMatchObject({ code: 'invalid_base', message: expect.stringMatching(message) });
    expect(readdirSync(folder)).not.toContain('model.safetensors');
  });

  test('of a small file are found by its git hash', async () => {
    hub.fail(/tokenizer_config\.json$/, ...[1, 2].map(() => ({ bytes: Buffer.from('{"eos_token": "</S>"}') })));
    await expect(fetchTiny()).rejects.toMatchObject({
      message: expect.stringMatching(/tokenizer_config\.json.*git hash/),
    });
  });

  test('that lie there from elsewhere are not taken for the file', async () => {
    await fetchTiny();
    writeFileSync(join(folder, 'model.safetensors'), wrong);
    await fetchTiny();
    expect(arrived().equals(weights())).toBe(true);
  });
});

describe('a mirror whose record has neither sizes nor hashes', () => {
  beforeEach(() => {
    hub.repos['org/tiny'] = { ...tinyRepo(), isDescribed: false };
  });
  const asked = (): string[] =>
    hub.requests
      .filter(({ method }) => method === 'HEAD')
      .map(({ server, path }) => `${server} ${path.split('/').at(-1)}`);
  const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

  test('is asked for them file by file, for those of a base alone', async () => {
    const plans: { sizeBytes: number }[] = [];
    const opened = openHub({ endpoint: hub.endpoint, token: 'hf_secret' });
    const onPlan = (plan: { sizeBytes: number }): void => void plans.push(plan);
    const { files, free } = await fetchBase(opened, parseHubSource('hf:org/tiny'), {
      dir,
      onPlan,
      onProgress: () => {},
    });
    await free();
    const names = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json'];
    expect(asked().sort()).toEqual([...names, 'model.safetensors'].map((name) => `hub ${name}`).sort());
    expect(arrived().equals(weights())).toBe(true);
    expect(plans).toMatchObject([
      { sizeBytes: [...files.keys()].reduce((sum, name) => sum + arrived(name).length, 0) },
    ]);
  });

  test.each([
    ['the weights', /^\/[0-9a-f]{64}$/, randomBytes(300_000), /model\.safetensors .*sha256 hash/],
    [
      'a small file',
      /tokenizer_config\.json$/,
      Buffer.from('{"eos_token": "</S>"}'),
      /tokenizer_config\.json .*git hash/,
    ],
  ])('has what it sends held against them: %s', async (_, path, bytes, message) => {
    const opened = openHub({ endpoint: hub.endpoint, patience });
    const options = { dir, onProgress: () => {}, onPlan: () => hub.fail(path, { bytes }, { bytes }) };
    await expect(fetchBase(opened, parseHubSource('hf:org/tiny'), options)).rejects.toMatchObject({
      code: 'invalid_base',
      message: expect.stringMatching(message),
    });
  });

  test.each([
    ['both', () => ({})],
    ['the hash', () => ({ 'x-linked-size': '300000' })],
    ['the size', (hash: string) => ({ 'x-linked-etag': `W/"${hash}"` })],
  ])('may leave %s to the host that it redirects to, which hears no token', async (_, linked) => {
    await fetchTiny();
    rmSync(folder, { recursive: true });
    const hash = digest(weights());
    const location = `${hub.cdn}/${hash}`;
    hub.requests.length = 0;
    hub.fail(/model\.safetensors$/, { status: 302, headers: { location, ...linked(hash) } });
    await fetchTiny('hf:org/tiny', { token: 'hf_secret' });
    expect(asked()).toContain(`cdn ${hash}`);
    expect(hub.requests.filter(({ server }) => server === 'cdn').map(({ authorization }) => authorization)).toEqual([
      null,
      null,
    ]);
    expect(arrived().equals(weights())).toBe(true);
  });

  test.each([
    ['no length', { etag: `"${'0'.repeat(40)}"`, 'transfer-encoding': 'chunked' }],
    [
      'the length of a packed answer',
      { etag: `"${'0'.repeat(40)}"`, 'content-length': '20', 'content-encoding': 'gzip' },
    ],
    ['another hash', { etag: '"d41d8cd98f00b204e9800998ecf8427e"', 'content-length': '2' }],
  ])('and says nothing to be checked by is refused: %s', async (_, headers) => {
    hub.fail(/\/tokenizer\.json$/, { status: 200, headers });
    await expect(fetchTiny()).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('gives neither size nor hash of tokenizer.json'),
      param: 'HF_ENDPOINT',
    });
  });

  test.each([405, 501, 404])('and takes no HEAD (%i) is refused, too', async (status) => {
    hub.fail(/\/tokenizer\.json$/, { status });
    await expect(fetchTiny()).rejects.toThrow(/gives neither size nor hash of tokenizer\.json/);
  });

  test('is asked again where it is busy, and a gated file is named as one', async () => {
    hub.fail(/\/tokenizer\.json$/, { status: 503 });
    await fetchTiny();
    expect(waits).toEqual([expect.stringContaining('answers 503')]);
    hub.repos['org/tiny'] = { ...tinyRepo(), isDescribed: false, needs: { token: 'hf_right', code: 'GatedRepo' } };
    await expect(fetchTiny()).rejects.toThrow(/org\/tiny is gated at/);
  });
});

describe('a busy hub', () => {
  test.each([
    ['seconds', { 'retry-after': '1' }],
    ['a rate limit', { ratelimit: '"resolvers";r=0;t=1' }],
  ])('is asked again when it said, in %s', async (_, headers) => {
    hub.fail(/^\/api/, { status: 429, headers });
    const begun = performance.now();
    await fetchTiny();
    expect(performance.now() - begun).toBeGreaterThan(990);
    expect(waits).toEqual([expect.stringContaining('answers 429')]);
  });

  test('that asks for a longer wait than is borne is named with its wait', async () => {
    hub.fail(/^\/api/, { status: 429, headers: { 'retry-after': '600' } });
    await expect(fetchTiny()).rejects.toThrow(/answers 429 and asks to come back in 600 s/);
  });

  test('whose link has run out gives a new one', async () => {
    hub.fail(/^\/[0-9a-f]{64}$/, { status: 403, body: 'expired' });
    await fetchTiny();
    expect(startsOf('hub', '/model.safetensors')).toHaveLength(2);
  });
});

describe('refused with what, where and what to do', () => {
  const gated = { needs: { token: 'hf_right', code: 'GatedRepo' as const } };
  const without = (...names: string[]) => {
    const { files } = tinyRepo();
    for (const name of names) delete files[name];
    return { ...tinyRepo(), files };
  };

  test.each([
    [
      'a gated model',
      'hf:org/gated',
      null,
      'forbidden',
      /org\/gated is gated at http.*restricted\. Accept its terms.*set HF_TOKEN/,
    ],
    [
      'a gated model and a token without the right',
      'hf:org/gated',
      'hf_other',
      'forbidden',
      /The account of HF_TOKEN has no access/,
    ],
    [
      'a model that is not there',
      'hf:org/none',
      null,
      'not_found',
      /There is no model org\/none at http.*private one set HF_TOKEN/,
    ],
    ['a model that is not there, with a token', 'hf:org/none', 'hf_x', 'not_found', /HF_TOKEN must be of an account/],
    [
      'a revision that is not there',
      'hf:org/tiny@v9',
      null,
      'not_found',
      /org\/tiny has no revision 'v9'.*\/org\/tiny\/refs/,
    ],
    ['a file that is gone', 'hf:org/gone', null, 'not_found', /org\/gone at main has no file tokenizer\.json/],
    ['pickled weights', 'hf:org/pickled', null, 'invalid_base', /pytorch_model\.bin, which may run code.*refs\/pr\/N/],
    ['no weights', 'hf:org/empty', null, 'invalid_base', /org\/empty has no model\.safetensors.*config\.json/],
    ['no tokenizer', 'hf:org/dumb', null, 'invalid_base', /org\/dumb has no tokenizer\.json.*save_pretrained/],
    ['an adapter', 'hf:org/adapter', null, 'invalid_base', /org\/adapter is an adapter, not a base.*trained on/],
    ['a family that is not computed', 'hf:org/mamba', null, 'invalid_base', /mamba/],
  ])('%s', async (_, source, token, code, said) => {
    hub.repos['org/gated'] = { ...tinyRepo(), ...gated };
    hub.repos['org/gone'] = tinyRepo();
    hub.repos['org/pickled'] = without('model.safetensors');
    hub.repos['org/empty'] = without('model.safetensors', 'pytorch_model.bin');
    hub.repos['org/dumb'] = without('tokenizer.json');
    hub.repos['org/adapter'] = { ...tinyRepo(), files: { 'adapter_config.json': '{}' } };
    hub.repos['org/mamba'] = tinyRepo({ 'config.json': '{"model_type": "mamba"}' });
    hub.fail(/gone\/resolve\/.*\/tokenizer\.json/, { status: 404, headers: { 'x-error-code': 'EntryNotFound' } });
    const error = await fetchTiny(source, { token }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code });
    const { message, hint } = error as { message: string; hint: string };
    expect(`${message} ${hint}`).toMatch(said);
    expect(startsOf('cdn')).toEqual([]);
  });

  test('a gated model is fetched with a token that may read it', async () => {
    hub.repos['org/tiny'] = { ...tinyRepo(), ...gated };
    expect((await fetchTiny('hf:org/tiny', { token: 'hf_right' })).files.size).toBe(5);
  });

  test('a token that the hub does not know', async () => {
    const headers = { 'x-error-message': 'Invalid credentials in Authorization header' };
    hub.fail(/^\/api/, { status: 401, headers });
    await expect(fetchTiny('hf:org/tiny', { token: 'hf_old' })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringContaining('does not take HF_TOKEN: Invalid credentials'),
    });
  });

  test.each([
    [403, '{"error":"Access to model org/tiny is restricted and you are not in the authorized list."}', null],
    [401, '{"error":"Access to model org/tiny is restricted. You must be authenticated to access it."}', null],
    [401, 'Access to model org/tiny is restricted. Please log in.', null],
    [403, '{"error":"org/tiny is a gated model"}', 'hf_other'],
    [403, '{"error":"Your request to access model org/tiny is awaiting a review from the repo authors."}', 'hf_other'],
  ])('a gated model, said in words alone: %i %s', async (status, body, token) => {
    hub.fail(/^\/api/, { status, body });
    await expect(fetchTiny('hf:org/tiny', { token })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringMatching(/^org\/tiny is gated at http:\S+: [^.]+[.]/),
      hint: expect.stringMatching(
        token === null ? /^Accept its terms at .*HF_TOKEN/ : /^The account of HF_TOKEN has no/,
      ),
    });
  });

  test.each([
    ['no words', '', null, /answers 403 for org\/tiny\.$/, /^Set HF_TOKEN .*org\/tiny asks to accept terms/],
    ['a page', '<h1>403 restricted</h1>', null, /answers 403 for org\/tiny\.$/, /^Set HF_TOKEN/],
    [
      'other words',
      '{"error":"Not today."}',
      'hf_x',
      /answers 403 for org\/tiny: Not today\.$/,
      /^HF_TOKEN must be of/,
    ],
  ])('an answer 403 that says no reason: %s', async (_, body, token, message, hint) => {
    hub.fail(/^\/api/, { status: 403, body });
    await expect(fetchTiny('hf:org/tiny', { token })).rejects.toMatchObject({
      code: 'forbidden',
      message: expect.stringMatching(message),
      hint: expect.stringMatching(hint),
    });
  });

  test('an address where no server is', async () => {
    const gone = await startHub({});
    await gone.close();
    await expect(fetchTiny('hf:org/tiny', { endpoint: gone.endpoint })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/The connection to http:\/\/127\.0\.0\.1:\d+ failed \(\S+\), 3 times in a row/),
    });
  });
});

describe('a full disk', () => {
  test('is said before the weights are fetched, where they would not fit', async () => {
    const bytes = Buffer.from(hub.repos['org/tiny']?.files['config.json'] ?? '');
    const blobId = createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');
    const [sha256, size] = ['0'.repeat(64), 1e15];
    const siblings = [
      { rfilename: 'config.json', size: bytes.length, blobId },
      { rfilename: 'tokenizer.json', size: 2, blobId },
      { rfilename: 'model.safetensors', size, lfs: { sha256, size } },
    ];
    hub.fail(/^\/api/, { status: 200, body: JSON.stringify({ sha: COMMIT, siblings }) });
    await expect(fetchTiny()).rejects.toMatchObject({
      code: 'storage',
      message: expect.stringMatching(/^1000\.0 TB are still to come, and the disk of .* free/),
    });
    expect(startsOf('cdn')).toEqual([]);
  });

  // A file whose disk is always full.
  test.runIf(existsSync('/dev/full'))('is said when it fills up on the way', async () => {
    mkdirSync(folder, { recursive: true });
    const sha256 = createHash('sha256').update(weights()).digest('hex');
    symlinkSync('/dev/full', join(folder, `${sha256}.part`));
    await expect(fetchTiny()).rejects.toMatchObject({
      code: 'storage',
      message: expect.stringMatching(/\.part is full: model\.safetensors has 300\.0 KB\.$/),
      hint: expect.stringContaining('goes on there'),
    });
    expect(readdirSync(folder)).not.toContain('model.safetensors');
  });
});

describe('two downloads of one model at a time', () => {
  const mark = (pid: number): string => join(folder, `.lock-${pid}`);

  test('are one until the files of the first were used: the second is refused with its process', async () => {
    const refusal = { code: 'conflict', message: `Process ${process.pid} downloads org/tiny already.` };
    hub.fail(/^\/[0-9a-f]{64}$/, { stallAfter: 10 });
    const first = fetchBase(
      openHub({ endpoint: hub.endpoint, patience: { ...patience, stallMs: 1_500 } }),
      parseHubSource('hf:org/tiny'),
      {
        dir,
        onPlan: () => {},
        onProgress: () => {},
      },
    );
    while (!existsSync(mark(process.pid))) await sleep(5);
    await expect(fetchTiny()).rejects.toMatchObject(refusal);
    const { free } = await first;
    await expect(fetchTiny('hf:org/tiny@refs/pr/1')).rejects.toMatchObject(refusal);
    expect(arrived().equals(weights())).toBe(true);
    await free();
    await fetchTiny();
    expect(existsSync(mark(process.pid))).toBe(false);
  });

  test('are one where the first is another process', async () => {
    const other = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    try {
      mkdirSync(folder, { recursive: true });
      writeFileSync(mark(other.pid ?? 0), '');
      await expect(fetchTiny()).rejects.toThrow(`Process ${other.pid} downloads org/tiny already.`);
      expect(readdirSync(folder)).toEqual([`.lock-${other.pid}`]);
    } finally {
      other.kill();
    }
  });

  // Each process of a container may have the same number.
  test.each([
    ['another process', 4_194_305],
    ['one of the same number', process.pid],
  ])('are none where the first ended and left its mark: %s', async (_, pid) => {
    mkdirSync(folder, { recursive: true });
    writeFileSync(mark(pid), '');
    await fetchTiny();
    expect(arrived().equals(weights())).toBe(true);
    expect(readdirSync(folder).filter((name) => name.startsWith('.lock'))).toEqual([]);
  });
});

test('nothing is put together from two files when the one behind a name changes in between', async () => {
  const before = weights();
  hub.fail(/^\/[0-9a-f]{64}$/, { cutAfter: 100_000 });
  // The second request meets other bytes of the same address; their etag is another.
  const other = randomBytes(300_000);
  hub.fail(/^\/[0-9a-f]{64}$/, { status: 200, headers: { etag: '"other"' }, body: other });
  await fetchTiny();
  expect(arrived().equals(before)).toBe(true);
});

describe('sources and addresses', () => {
  test.each([
    ['hf:org/repo', { repo: 'org/repo', revision: 'main' }],
    ['hf:gpt2@v1.0', { repo: 'gpt2', revision: 'v1.0' }],
    ['hf:Qwen/Qwen2.5-0.5B@refs/pr/3', { repo: 'Qwen/Qwen2.5-0.5B', revision: 'refs/pr/3' }],
  ])('%s', (text, source) => expect(parseHubSource(text)).toEqual(source));

  test.each(['hf:', 'hf:/x', 'hf:a/b/c', 'hf:../x', 'hf:org/repo@', 'hf:org/repo@../main', 'hf:org/re po', 'org/repo'])(
    '%j is refused',
    (text) => expect(() => parseHubSource(text)).toThrow(/names no model of a hub/),
  );

  test.each(['huggingface', 'ftp://x', 'https://hf_token@hub.example', ''])('HF_ENDPOINT %j is refused', (endpoint) =>
    expect(() => openHub({ endpoint })).toThrow(/HF_ENDPOINT/),
  );

  test('a token with a line break is refused before it is sent', () =>
    expect(() => openHub({ token: 'hf_a\nb' })).toThrow(/HF_TOKEN holds/));
});
