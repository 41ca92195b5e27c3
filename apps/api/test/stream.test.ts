import { get, type IncomingMessage } from 'node:http';
import { notify } from '@moraine/services';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepare, submit } from './fixtures.js';
import { startApi, type TestApi, type Wire } from './support.js';

let api: TestApi;
let run: Wire;
beforeAll(async () => {
  api = await startApi();
  run = await submit(api, await prepare(api));
});
afterAll(() => api.close());

interface Message {
  id: string;
  event: string;
  data: { step?: number; status?: string };
}

interface Stream {
  response: IncomingMessage;
  text: () => string;
  messages: () => Message[];
  end: () => void;
}

/** Opens the live stream as `curl -N` does. */
function open(query = '', headers: Record<string, string> = {}): Promise<Stream> {
  return new Promise((resolve, reject) => {
    const url = new URL(`/v1/runs/${run.id}/stream${query}`, api.url);
    const request = get(url, { headers: { authorization: `Bearer ${api.key}`, ...headers } }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
      });
      response.on('error', () => undefined);
      resolve({ response, text: () => text, messages: () => parse(text), end: () => request.destroy() });
    });
    request.on('error', reject);
  });
}

const parse = (text: string): Message[] =>
  text
    .split('\n\n')
    .slice(0, -1)
    .flatMap((block) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(block)?.[1];
      const [id, event, data] = [field('id'), field('event'), field('data')];
      return id && event && data ? [{ id, event, data: JSON.parse(data) as Message['data'] }] : [];
    });

const steps = (stream: Stream) =>
  stream
    .messages()
    .flatMap((message) => (message.event === 'metric' && message.data.step !== undefined ? [message.data.step] : []));

const metric = (step: number) =>
  notify(api.services, run.id, [
    { event: 'metric', data: { step, attempt: 1, at: 0, values: { train_loss: 1 / step } } },
  ]);

describe('the live stream', () => {
  it.each(['text/event-stream', '*/*', 'application/json'])(
    'comes as events to a client that accepts %s',
    async (accept) => {
      const stream = await open('', { accept });
      expect(stream.response.headers).toMatchObject({
        'content-type': 'text/event-stream',
        'x-request-id': expect.stringMatching(/^req_/),
        'x-content-type-options': 'nosniff',
      });
      await expect.poll(stream.text).toContain('retry: 2000\n\n');
      stream.end();
    },
  );

  it('goes on exactly where a reader left off, by header and by query, nothing twice and nothing missing', async () => {
    for (let step = 1; step <= 5; step++) await metric(step);
    const first = await open();
    await expect.poll(() => steps(first)).toEqual([1, 2, 3, 4, 5]);
    const third = first.messages().find((message) => message.data.step === 3)?.id ?? '';
    first.end();
    for (let step = 6; step <= 9; step++) await metric(step);

    const byHeader = await open('', { 'last-event-id': third });
    const byQuery = await open(`?last_event_id=${third}`);
    await metric(10);
    for (const stream of [byHeader, byQuery]) {
      await expect.poll(() => steps(stream)).toEqual([4, 5, 6, 7, 8, 9, 10]);
      stream.end();
    }
  });

  it('sends a comment while nothing happens, and no named heartbeat', async () => {
    const stream = await open(`?last_event_id=${await lastId()}`);
    await expect.poll(stream.text, { timeout: 20_000, interval: 200 }).toContain(': heartbeat\n\n');
    expect(stream.messages()).toEqual([]);
    stream.end();
  });

  it('begins with reset when the place is gone', async () => {
    const stream = await open('?last_event_id=1-0');
    await expect.poll(() => stream.messages()[0]?.event).toBe('reset');
    stream.end();
  });

  it('stops following when its reader is gone', async () => {
    const stream = await open();
    await expect.poll(() => steps(stream).length).toBeGreaterThan(0);
    stream.end();
    const connections = () =>
      new Promise<number>((resolve) => api.app.server.getConnections((_error, count) => resolve(count)));
    await expect.poll(async () => (await connections()) <= 2).toBe(true);
    await metric(11);
  });

  it('is refused before it begins: no run, no key, no such place', async () => {
    expect((await api.ask('GET', '/v1/runs/ftjob-nothing/stream')).status).toBe(404);
    expect((await api.ask('GET', `/v1/runs/${run.id}/stream`, { key: await api.foreignKey() })).status).toBe(404);
    const odd = await api.ask('GET', `/v1/runs/${run.id}/stream?last_event_id=yesterday`);
    expect([odd.status, odd.json.error.param]).toEqual([400, 'last_event_id']);
  });
});

describe('metrics of a run', () => {
  it('answer 304 while nothing is new', async () => {
    const path = `/v1/runs/${run.id}/metrics`;
    const first = await api.ask('GET', path);
    const tag = first.headers.get('etag') ?? '';
    expect(first.json.last_event_id).toMatch(/^\d+-\d+$/);
    expect((await api.ask('GET', path, { headers: { 'if-none-match': tag } })).status).toBe(304);
    await metric(12);
    expect((await api.ask('GET', path, { headers: { 'if-none-match': tag } })).status).toBe(200);
  });
});

const lastId = async () => (await api.ask('GET', `/v1/runs/${run.id}/metrics`)).json.last_event_id;

describe('the stream of several runs', () => {
  it('goes on with each from its own place, and names the run in the id of every message', async () => {
    const other = await submit(api, await prepare(api));
    const place = await lastId();
    const stream = await open(`/../../../stream?runs=${run.id}@${place},${other.id}`);
    await metric(21);
    await notify(api.services, other.id, [
      { event: 'metric', data: { step: 1, attempt: 1, at: 0, values: { train_loss: 3 } } },
    ]);
    const seen = () =>
      stream.messages().flatMap(({ id, event, data }) => (event === 'metric' ? [[id, data.step]] : []));
    await expect.poll(seen).toEqual([
      [expect.stringMatching(new RegExp(`^${run.id}@\\d+-\\d+$`)), 21],
      [expect.stringMatching(new RegExp(`^${other.id}@\\d+-\\d+$`)), 1],
    ]);
    stream.end();
  });

  it('is refused where a run is not the caller’s, a place is none, or no run is named', async () => {
    const ask = async (runs: string, key = api.key) => (await api.ask('GET', `/v1/stream?runs=${runs}`, { key })).json;
    expect((await ask(`${run.id},ftjob-nothing`)).error.message).toMatch(/ftjob-nothing/);
    expect((await ask(run.id, await api.foreignKey())).error.code).toBe('not_found');
    expect((await ask(`${run.id}@yesterday`)).error).toMatchObject({ code: 'invalid_value', param: 'runs' });
    expect((await ask('')).error).toMatchObject({ code: 'invalid_value', param: 'runs' });
    const many = Array.from({ length: 101 }, (_, at) => `ftjob-${at}`).join();
    expect((await ask(many)).error.message).toMatch(/101 runs/);
  });
});
