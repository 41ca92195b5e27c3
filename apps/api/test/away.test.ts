import { join } from 'node:path';
import { type Between, openBetween, openSmallDisk } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepare, submit } from './fixtures.js';
import { chatRows, fileForm, startApi, type TestApi } from './support.js';

/** Requests a minute: enough for a test that is sent in one. */
const LIMIT = 60;

let api: TestApi;
let redis: Between;
let postgres: Between;
beforeAll(async () => {
  api = await startApi({ rateLimit: LIMIT }, async ({ databaseUrl, redisUrl }) => {
    redis = await openBetween(redisUrl);
    postgres = await openBetween(databaseUrl);
    return { databaseUrl: postgres.url, redisUrl: redis.url };
  });
});
afterAll(async () => {
  redis.resume();
  postgres.resume();
  await api.close();
  redis.close();
  postgres.close();
});

async function timed<T>(work: () => Promise<T>): Promise<{ ms: number; result: T }> {
  const from = performance.now();
  const result = await work();
  return { ms: performance.now() - from, result };
}

describe('a Redis that hangs', () => {
  it('holds a request for 200 ms at most, is named by /readyz, and the limit of requests goes on in memory', async () => {
    const files = await prepare(api);
    const usual = Math.min(...[(await timed(() => submit(api, files))).ms, (await timed(() => submit(api, files))).ms]);
    redis.hang();
    try {
      // The first finds out, the others know.
      const first = await timed(() => submit(api, files));
      expect(first.ms).toBeLessThan(usual + 1_000);
      const more = await timed(async () => {
        const made = [];
        for (let i = 0; i < 5; i++) made.push((await submit(api, files)).id);
        for (const id of made) {
          const cancelled = await api.ask('POST', `/v1/fine_tuning/jobs/${id}/cancel`);
          expect(cancelled.json.status).toBe('cancelled');
          expect((await api.ask('GET', `/v1/runs/${id}/metrics`)).status).toBe(200);
        }
      });
      // Fifteen requests; each that waited for Redis would take more than 150 ms longer than usual.
      expect(more.ms).toBeLessThan(15 * (usual + 150));
      const ready = await api.ask('GET', '/readyz', { key: null });
      expect([ready.status, ready.json]).toMatchObject([503, { postgres: 'ok', redis: 'away' }]);

      const statuses = [];
      for (let i = 0; i < LIMIT; i++) statuses.push((await api.ask('GET', '/v1/files?limit=1')).status);
      expect(statuses).toContain(429);
    } finally {
      redis.resume();
    }
    const ready = async () => (await api.ask('GET', '/readyz', { key: null })).status;
    await expect.poll(ready, { timeout: 15_000 }).toBe(200);
  });
});

describe('a Postgres that hangs', () => {
  it('is answered with 503 and retry-after in bounded time, and serves again when it goes on', async () => {
    const key = await api.foreignKey();
    postgres.hang();
    try {
      const asked = ['/v1/models', '/v1/files', '/v1/fine_tuning/jobs', '/v1/workers'];
      const { ms, result } = await timed(() => Promise.all(asked.map((path) => api.ask('GET', path, { key }))));
      for (const { status, headers, json } of result) {
        expect([status, json.error.code]).toEqual([503, 'unavailable']);
        expect(Number(headers.get('retry-after'))).toBeGreaterThan(0);
        expect(headers.get('x-should-retry')).toBe('true');
      }
      expect(ms).toBeLessThan(25_000);
      expect((await api.ask('GET', '/healthz', { key: null })).status).toBe(200);
      const ready = await api.ask('GET', '/readyz', { key: null });
      expect([ready.status, ready.json]).toMatchObject([503, { postgres: 'away' }]);
    } finally {
      postgres.resume();
    }
    const works = async () => (await api.ask('GET', '/v1/models', { key })).status;
    await expect.poll(works, { timeout: 20_000 }).toBe(200);
  }, 90_000);

  it('whose connections are all in use is answered with 503, and the wait for one is measured', async () => {
    const key = await api.foreignKey();
    const held = await Promise.all(Array.from({ length: 10 }, () => api.services.pg.connect()));
    try {
      const asking = api.ask('GET', '/v1/models', { key });
      await expect.poll(() => api.services.poolState().longestWaitMs).toBeGreaterThan(20);
      const refused = await asking;
      expect([refused.status, refused.json.error.code]).toEqual([503, 'unavailable']);
    } finally {
      for (const client of held) client.release();
    }
    expect(api.services.poolState().failures).toBeGreaterThan(0);
    expect((await api.ask('GET', '/v1/models', { key })).status).toBe(200);
  }, 30_000);
});

describe('a Postgres that only reads, as in a failover', () => {
  it('refuses writes with 503 worth a retry, is named by /readyz, and reads go on', async () => {
    const key = await api.foreignKey();
    const database = new URL(postgres.url).pathname.slice(1);
    const set = async (sql: string) => {
      const client = await api.services.pg.connect();
      await client.query(`SET default_transaction_read_only = off`);
      await client.query(sql);
      client.release(true);
    };
    const renew = async () => {
      const { idle, connections } = api.services.poolState();
      const all = await Promise.all(
        Array.from({ length: Math.min(idle, connections) }, () => api.services.pg.connect()),
      );
      for (const client of all) client.release(true);
    };
    await set(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
    await renew();
    try {
      const refused = await api.ask('POST', '/v1/files', { key, body: fileForm(chatRows(2)) });
      expect([refused.status, refused.json.error.code, refused.headers.get('retry-after')]).toEqual([
        503,
        'unavailable',
        '1',
      ]);
      expect((await api.ask('GET', '/v1/files', { key })).status).toBe(200);
      const ready = async () => (await api.ask('GET', '/readyz', { key: null })).json;
      await expect.poll(ready).toMatchObject({ status: 'unavailable', postgres: 'away', redis: 'ok' });
    } finally {
      await set(`ALTER DATABASE ${database} RESET default_transaction_read_only`);
      await renew();
    }
    const ready = async () => (await api.ask('GET', '/readyz', { key: null })).status;
    await expect.poll(ready, { timeout: 10_000 }).toBe(200);
  });
});

const disk = openSmallDisk(2);
afterAll(() => disk?.close());

describe.skipIf(disk === null)('a blob storage whose disk is full (needs leave to mount one)', () => {
  it('is answered with 507, what did not fit and what is free; smaller things and all else go on', async () => {
    const full = await startApi({ uploadLimitBytes: 64 * 1024 ** 2 }, async () => ({
      blobsDir: join(disk?.dir ?? '', 'blobs'),
    }));
    try {
      const refused = await full.ask('POST', '/v1/files', { body: fileForm('x'.repeat(5_000_000)) });
      expect(refused.status).toBe(507);
      expect(refused.json.error).toMatchObject({ code: 'storage_full', type: 'server_error' });
      expect(refused.json.error.message).toMatch(/An upload of at least \d\.\d MB does not fit .*; \d\.\d MB are free/);
      expect(refused.headers.get('retry-after')).toBe('30');
      const taken = await full.ask('POST', '/v1/files', { body: fileForm(chatRows(2)) });
      expect([taken.status, taken.json.status]).toEqual([200, 'processed']);
      expect((await full.ask('GET', '/v1/files')).json.data).toHaveLength(1);
    } finally {
      await full.close();
    }
  });
});
