import { setTimeout as sleep } from 'node:timers/promises';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, expect, it } from 'vitest';
import { errors } from '../src/plugins/errors.js';
import { type ShedOptions, shed } from '../src/plugins/shed.js';
import { startApi } from './support.js';

const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
});

/** A server whose `/v1/slow` answers when it is let go, beside `/healthz`. */
async function start(
  options: Partial<ShedOptions> = {},
): Promise<{ app: FastifyInstance; url: string; letGo(): void }> {
  const app = Fastify();
  const waiting: (() => void)[] = [];
  await app.register(errors);
  await app.register(async (v1) => {
    await v1.register(shed, { poolWaitMs: () => 0, ...options });
    const schema = { response: { 200: {} } };
    v1.get('/v1/slow', { schema }, () => new Promise((resolve) => waiting.push(() => resolve({}))));
    v1.get('/v1/quick', { schema }, async () => ({}));
    v1.get('/v1/stream', () => new Promise((resolve) => waiting.push(() => resolve('end'))));
  });
  app.get('/healthz', async () => ({}));
  await app.listen({ host: '127.0.0.1', port: 0 });
  closing.push(() => app.close());
  const url = app.listeningOrigin;
  const letGo = (): void => {
    for (const answer of waiting.splice(0)) answer();
  };
  return { app, url, letGo };
}

it('a request above those in flight gets 503 with retry-after at once, and is taken again when they are done', async () => {
  const { url, letGo } = await start({ inFlightMax: 2 });
  const slow = [fetch(`${url}/v1/slow`), fetch(`${url}/v1/slow`)];
  await sleep(200);
  const refused = await fetch(`${url}/v1/quick`);
  expect([refused.status, refused.headers.get('retry-after'), refused.headers.get('x-should-retry')]).toEqual([
    503,
    '1',
    'true',
  ]);
  expect((await refused.json()) as unknown).toMatchObject({
    error: { code: 'unavailable', message: expect.stringContaining('2 requests are being answered') },
  });
  expect((await fetch(`${url}/healthz`)).status).toBe(200);
  letGo();
  expect((await Promise.all(slow)).map(({ status }) => status)).toEqual([200, 200]);
  expect((await fetch(`${url}/v1/quick`)).status).toBe(200);
});

it('streams do not count, and callers that go away free their place', async () => {
  const { url, letGo } = await start({ inFlightMax: 1 });
  const streams = [fetch(`${url}/v1/stream`), fetch(`${url}/v1/stream`)];
  await sleep(200);
  expect((await fetch(`${url}/v1/quick`)).status).toBe(200);
  const leaving = new AbortController();
  const left = fetch(`${url}/v1/slow`, { signal: leaving.signal }).catch(() => 'left');
  await sleep(200);
  expect((await fetch(`${url}/v1/quick`)).status).toBe(503);
  leaving.abort();
  expect(await left).toBe('left');
  await expect.poll(async () => (await fetch(`${url}/v1/quick`)).status, { timeout: 10_000 }).toBe(200);
  letGo();
  await Promise.all(streams);
});

it('a loop that is late again and again refuses what comes, after one long block it does not, and it recovers', async () => {
  const { app } = await start({ loopLateMsMax: 200 });
  const quick = async () => (await app.inject('/v1/quick')).statusCode;
  const block = async (ms: number): Promise<void> => {
    for (const until = performance.now() + ms; performance.now() < until; );
    await sleep(0);
  };
  await block(600);
  expect(await quick()).toBe(200);
  for (let i = 0; i < 8; i++) await block(600);
  expect(await quick()).toBe(503);
  await expect.poll(quick, { timeout: 20_000 }).toBe(200);
});

it('while every connection to Postgres is taken and one has been waited for, requests are refused and health is answered', async () => {
  const api = await startApi();
  closing.push(() => api.close());
  expect((await api.ask('GET', '/v1/models')).status).toBe(200);
  const held = await Promise.all(Array.from({ length: 10 }, () => api.services.pg.connect()));
  const first = api.ask('GET', '/v1/models');
  await sleep(2_300);
  const began = performance.now();
  const refused = await api.ask('GET', '/v1/models');
  expect([refused.status, refused.json.error.code]).toEqual([503, 'unavailable']);
  expect(refused.json.error.message).toContain('connections to Postgres are waited for');
  expect(performance.now() - began).toBeLessThan(1_000);
  expect((await api.ask('GET', '/healthz', { key: null })).status).toBe(200);
  for (const client of held) client.release();
  expect((await first).status).toBe(200);
  expect((await api.ask('GET', '/v1/models')).status).toBe(200);
});
