import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { newId } from '@moraine/contract';
import { serveChannel } from '@moraine/contract/serving';
import { heartbeatProcess, type ResidentAdapter, registerProcess, retireProcess } from '@moraine/services';
import { Redis } from 'ioredis';
import { OpenAI } from 'openai';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { startApi, type TestApi } from './support.js';

// What the API does between a caller and a process that answers: the process here is a server of the test, which can be made to die in any moment.
// apps/inference/test/process.test.ts has the process itself.
const WAIT_MS = 400;
const HASH = {
  base: 'b'.repeat(64),
  first: '1'.repeat(64),
  second: '2'.repeat(64),
  other: '3'.repeat(64),
  fourth: '4'.repeat(64),
};

let api: TestApi;
let foreign: string;
let foreignProject: string;
const servers: Server[] = [];

beforeAll(async () => {
  api = await startApi({ serveWaitMs: WAIT_MS });
  foreign = await api.foreignKey();
  const { projectId } = await api.services.db.apiKey.findFirstOrThrow({ where: { name: 'foreign' } });
  foreignProject = projectId;
  for (const project of [api.projectId, foreignProject]) await addBase(project);
});
afterEach(async () => {
  for (const server of servers.splice(0)) server.closeAllConnections();
  await api.services.pg.query('DELETE FROM inference_processes');
});
afterAll(() => api.close());

const addBase = (projectId: string) =>
  api.services.db.base.create({
    data: {
      ...{ id: newId('base'), projectId, name: 'tiny', blobPrefix: 'bases/tiny', sha256: HASH.base },
      ...{ sizeBytes: 1, config: {}, parameters: 1, context: 64 },
    },
  });

async function addAdapter(projectId: string, name: string, sha256: string): Promise<void> {
  const base = await api.services.db.base.findFirstOrThrow({ where: { projectId } });
  const place = { blobPrefix: `adapters/${sha256}`, sha256, sizeBytes: 1, config: {} };
  await api.services.db.uploadedAdapter.create({
    data: { id: newId('adapter'), projectId, baseId: base.id, name, ...place },
  });
}

interface Asked {
  path: string;
  headers: IncomingHttpHeaders;
  /** What the API says answers. */
  model: { tenant: string; base: { sha256: string }; tuned: { sha256: string } | null };
}

/** A process that is registered, and what it is asked. */
async function addProcess(
  answer: (reply: ServerResponse, asked: Asked) => void = whole('yes'),
  { answering = 0, rows = 8, adapters = [] as ResidentAdapter[] } = {},
) {
  const asked: Asked[] = [];
  const secret = newId('inference');
  const server = createServer((request, reply) => {
    request.resume();
    const { headers, url: path = '' } = request;
    if (headers.authorization !== `Bearer ${secret}`) return void reply.writeHead(401).end();
    const model = JSON.parse(Buffer.from(String(headers['x-moraine-model']), 'base64url').toString());
    asked.push({ path, headers, model });
    answer(reply, { path, headers, model });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  servers.push(server);
  const facts = { baseSha256: HASH.base, secret, host: 'h', pid: 1, version: '0', rows };
  const id = await registerProcess(api.services, facts);
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  await heartbeatProcess(api.services, id, { status: 'ready', address, device: DEVICE, answering, adapters });
  return { id, asked, server };
}
const DEVICE = { kind: 'cpu', name: 'test', tensorflow: null, bfloat16: null } as const;

const whole = (content: string) => (reply: ServerResponse) =>
  void reply.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ content }));

const ask = (model = 'tiny', more: object = {}, key = api.key) =>
  api.ask('POST', '/v1/chat/completions', {
    key,
    body: { model, messages: [{ role: 'user', content: 'hi' }], ...more },
  });
const stream = (signal?: AbortSignal) =>
  fetch(`${api.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${api.key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'tiny', messages: [{ role: 'user', content: 'hi' }], stream: true }),
    signal: signal ?? null,
  });
const EVENTS = { 'content-type': 'text/event-stream; charset=utf-8' };

test('a name is resolved to content before a process is asked, and the key never reaches it', async () => {
  const one = await addProcess();
  expect((await ask()).json).toEqual({ content: 'yes' });
  expect(one.asked[0]?.model).toEqual({
    tenant: api.projectId,
    base: { name: 'tiny', blobPrefix: 'bases/tiny', sha256: HASH.base },
    tuned: null,
  });
  expect(JSON.stringify(one.asked[0]?.headers)).not.toContain(api.key);
});

test('an adapter that took the name of a deleted one is asked for by its own content, and a deleted one by none', async () => {
  const one = await addProcess();
  await addAdapter(api.projectId, 'records', HASH.first);
  await ask('records');
  await api.ask('DELETE', '/v1/models/records');
  const gone = await ask('records');
  expect([gone.status, gone.json.error.code]).toEqual([404, 'not_found']);
  await addAdapter(api.projectId, 'records', HASH.second);
  await ask('records');
  expect(one.asked.map(({ model }) => model.tuned?.sha256)).toEqual([HASH.first, HASH.second]);
});

test('two projects with an adapter of one name reach their own, as different tenants', async () => {
  const one = await addProcess();
  await addAdapter(api.projectId, 'shared', HASH.first);
  await addAdapter(foreignProject, 'shared', HASH.other);
  await Promise.all([ask('shared'), ask('shared', {}, foreign)]);
  const pairs = one.asked.map(({ model }) => [model.tenant, model.tuned?.sha256]);
  expect(pairs).toHaveLength(2);
  expect(pairs).toContainEqual([api.projectId, HASH.first]);
  expect(pairs).toContainEqual([foreignProject, HASH.other]);
});

test('an unknown name is 404 and names the nearest of the project, never the base in its place', async () => {
  const one = await addProcess();
  const { status, json } = await ask('tinyy');
  expect([status, json.error.code, json.error.param]).toEqual([404, 'not_found', 'model']);
  expect(json.error.message).toContain("Did you mean 'tiny'?");
  expect((await ask('ft:tiny:default:none:12345678')).status).toBe(404);
  expect(one.asked).toEqual([]);
});

test('a request that the wire refuses reaches no process', async () => {
  const one = await addProcess();
  expect((await ask('tiny', { temprature: 1 })).json.error.message).toContain("'temperature'");
  expect(one.asked).toEqual([]);
});

test('of several processes the one with the fewest requests is asked, those under way here counted', async () => {
  const held: ServerResponse[] = [];
  const hold = (reply: ServerResponse): void => void held.push(reply);
  const busy = await addProcess(hold, { answering: 2 });
  const free = [await addProcess(hold), await addProcess(hold)];
  const answers: ReturnType<typeof ask>[] = [];
  for (const count of [1, 2]) {
    answers.push(ask());
    await until(() => held.length === count);
  }
  expect([busy, ...free].map(({ asked }) => asked.length)).toEqual([0, 1, 1]);
  for (const reply of held) whole('yes')(reply);
  expect((await Promise.all(answers)).map(({ status }) => status)).toEqual([200, 200]);
});

test('without a process, and nobody to start one, a request is refused at once for a while', async () => {
  const from = performance.now();
  const { status, headers, json } = await ask();
  expect([status, headers.get('retry-after'), headers.get('x-should-retry')]).toEqual([503, '1', 'true']);
  expect(json.error.message).toContain('npx moraine serve tiny');
  expect(performance.now() - from).toBeLessThan(WAIT_MS);
});

test('whoever starts processes hears which base is wanted, and the request waits for it', async () => {
  const listener = new Redis(api.services.redisUrl);
  await listener.subscribe(serveChannel(api.services.redisPrefix));
  const heard: string[] = [];
  listener.on('message', (_channel, text) => {
    heard.push(text);
    void addProcess(whole('started'));
  });
  expect((await ask()).json).toEqual({ content: 'started' });
  expect(heard.map((text) => JSON.parse(text))).toEqual([{ base: HASH.base }]);
  listener.removeAllListeners('message');
  // One that is only opening is waited for no longer than a caller can be kept.
  await api.services.pg.query(`UPDATE inference_processes SET status = 'opening'`);
  const late = await ask();
  expect([late.status, late.headers.get('retry-after')]).toEqual([503, '1']);
  expect(late.json.error.message).toContain('still being opened');
  listener.disconnect();
});

test('why a base could not be opened is told to those who ask for it', async () => {
  const { id } = await addProcess();
  await retireProcess(api.services, id, 'Its files have 9 bytes, and this process may use 1.');
  const { status, json } = await ask();
  expect([status, json.error.message.includes('may use 1')]).toEqual([503, true]);
});

test('a process that nobody finds at its address is forgotten, and the next one answers', async () => {
  const dead = await addProcess();
  dead.server.close();
  await addProcess(whole('alive'), { answering: 5 });
  expect((await ask()).json).toEqual({ content: 'alive' });
  const { rows } = await api.services.pg.query('SELECT status FROM inference_processes WHERE id = $1', [dead.id]);
  expect(rows).toEqual([{ status: 'gone' }]);
});

test('a process without a sign of life is not asked', async () => {
  const silent = await addProcess();
  await api.services.pg.query('UPDATE inference_processes SET lease_until = now() WHERE id = $1', [silent.id]);
  expect((await ask()).status).toBe(503);
  expect(silent.asked).toEqual([]);
});

test('a process that dies loses its own requests alone, which may be sent again', async () => {
  const dying = await addProcess((reply) => {
    reply.writeHead(200, { 'content-type': 'application/json' }).write('{"half');
    setImmediate(() => reply.destroy());
  });
  const lost = await ask();
  expect([lost.status, lost.json.error.code, lost.headers.get('retry-after')]).toEqual([503, 'unavailable', '1']);
  expect(dying.asked).toHaveLength(1);
});

test('a process that hangs, or whose machine is off, loses its requests after two minutes of silence: they may be sent again', async () => {
  const hanging = await addProcess((reply, { path }) => {
    if (path.endsWith('/completions')) reply.writeHead(200, EVENTS).write('data: {"one":1}\n\n');
  });
  const [streamed, pinned] = [stream().then((response) => response.text()), pinOf('hung')];
  await until(() => hanging.asked.length === 2);
  const silentFor = (seconds: number) =>
    api.services.pg.query(
      `UPDATE inference_processes SET lease_until = now() + (15 - $2) * interval '1 second' WHERE id = $1`,
      [hanging.id, seconds],
    );
  // What computes is silent: a long prompt of a large base takes its time.
  await silentFor(100);
  await Promise.race([streamed, pinned, sleep(8_000)]).then((first) => expect(first).toBeUndefined());
  await silentFor(121);
  expect((await streamed).split('\n\n')[1]).toContain('"code":"unavailable"');
  const { status, headers } = await pinned;
  expect([status, headers.get('retry-after')]).toEqual([503, '1']);
}, 30_000);

test('a stream whose process dies ends with an event that says so', async () => {
  await addProcess((reply) => {
    reply.writeHead(200, EVENTS).write('data: {"one":1}\n\n');
    setTimeout(() => reply.destroy(), 20);
  });
  const response = await stream();
  const text = await response.text();
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  const [first, last, ...rest] = text.trim().split('\n\n');
  expect([first, rest]).toEqual(['data: {"one":1}', []]);
  expect(JSON.parse(last?.slice(6) ?? '').error.code).toBe('unavailable');
});

test('a caller that leaves ends its answer in the process', async () => {
  let isClosed = false;
  await addProcess((reply) => {
    reply.writeHead(200, EVENTS).write('data: {}\n\n');
    reply.once('close', () => {
      isClosed = true;
    });
  });
  const leave = new AbortController();
  const response = await stream(leave.signal);
  await response.body?.getReader().read();
  leave.abort();
  await until(() => isClosed);
});

test('a caller that reads slowly is not written for', async () => {
  const EVENT = `data: ${'x'.repeat(65_536)}\n\n`;
  let written = 0;
  await addProcess(async (reply) => {
    reply.setMaxListeners(0).writeHead(200, EVENTS);
    for (; written < 1_000 && !reply.destroyed; written++)
      if (!reply.write(EVENT)) await Promise.race([once(reply, 'drain'), once(reply, 'close')]);
    reply.end();
  });
  const leave = new AbortController();
  await stream(leave.signal);
  let before = -1;
  // It stands still once every buffer in between is full.
  while (before !== written) {
    before = written;
    await sleep(50);
  }
  expect(written).toBeGreaterThan(0);
  expect(written).toBeLessThan(900);
  leave.abort();
});

const resident = (kind: string, pinnedBy: string[] = [], sha256 = HASH.fourth): ResidentAdapter => ({
  ...{ sha256, kind, bytes: 7, pinnedBy },
});

test('where an adapter is loaded is told by the name of its project alone, with its own pins', async () => {
  const { projectId } = api;
  await addAdapter(projectId, 'placed', HASH.fourth);
  await addAdapter(foreignProject, 'theirs', HASH.fourth);
  const [one, two] = [
    await addProcess(whole('yes'), { adapters: [resident('slot', [projectId]), resident('host', [], HASH.other)] }),
    await addProcess(whole('yes'), { adapters: [resident('merged')] }),
  ];
  const list = async (key: string) => (await api.ask('GET', '/v1/adapters', { key })).json.data as unknown as object[];
  const at = (id: string, place: string, pinned = false) => ({ id, host: 'h', place, bytes: 7, pinned });
  const processes = [at(one.id, 'slot', true), at(two.id, 'merged')];
  expect(await list(api.key)).toEqual([
    { id: 'placed', object: 'adapter', base: 'tiny', sha256: HASH.fourth, processes: expect.any(Array) },
  ]);
  expect((await api.ask('GET', '/v1/adapters/placed')).json).toMatchObject({
    processes: expect.arrayContaining(processes),
  });
  expect(await list(foreign)).toContainEqual(expect.objectContaining({ id: 'theirs' }));
  expect(JSON.stringify(await list(foreign))).not.toMatch(/placed|"pinned":true/);
  const client = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: api.key });
  const { data } = await client.models.list();
  expect(data.find(({ id }) => id === 'placed')).toMatchObject({
    resident: expect.arrayContaining([{ process: one.id, place: 'slot' }]),
  });
  expect(await client.models.retrieve('tiny')).toMatchObject({
    resident: expect.arrayContaining([{ process: two.id, place: 'base' }]),
  });
});

test('pin, unpin and unload reach every process of the base by content, and none of another project', async () => {
  await addAdapter(api.projectId, 'kept', HASH.first);
  const all = [await addProcess(), await addProcess()];
  const dead = await addProcess();
  dead.server.close();
  const act = (verb: string, name = 'kept', key = api.key) => api.ask('POST', `/v1/adapters/${name}/${verb}`, { key });
  for (const verb of ['pin', 'unpin', 'unload']) expect((await act(verb)).json).toMatchObject({ id: 'kept' });
  for (const { asked } of all) {
    expect(asked.map(({ path }) => path)).toEqual(['/adapters/pin', '/adapters/unpin', '/adapters/unload']);
    const [{ model } = {}] = asked;
    expect([model?.tenant, model?.tuned?.sha256]).toEqual([api.projectId, HASH.first]);
  }
  expect((await act('unload', 'kept', foreign)).status).toBe(404);
  expect((await act('pin', 'tiny')).json.error).toMatchObject({ code: 'invalid_value', param: 'model' });
  expect(all.map(({ asked }) => asked.length)).toEqual([3, 3]);
});

test('what a process refuses to pin is told in its words, and without a process nothing is pinned', async () => {
  await addAdapter(api.projectId, 'large', HASH.second);
  const pin = () => api.ask('POST', '/v1/adapters/large/pin');
  expect((await pin()).status).toBe(503);
  const unload = await api.ask('POST', '/v1/adapters/large/unload');
  expect(unload.json).toMatchObject({ id: 'large', processes: [] });
  const error = { message: 'There is no room.', type: 'server_error', param: null, code: 'unavailable' };
  await addProcess((reply) => void reply.writeHead(503).end(JSON.stringify({ error })));
  expect((await pin()).json.error).toMatchObject({ code: 'unavailable', message: 'There is no room.' });
});

async function pinOf(name: string) {
  await addAdapter(api.projectId, name, HASH.first);
  return api.ask('POST', `/v1/adapters/${name}/pin`);
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await sleep(5);
}
