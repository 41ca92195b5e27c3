import { once } from 'node:events';
import { get } from 'node:http';
import { migratedDatabase, type TestDatabase } from '@moraine/testing';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepare, submit } from './fixtures.js';
import { type ApiProcess, killApis, makeKey, startApiProcess } from './process.js';
import { asker } from './support.js';

let database: TestDatabase;
beforeAll(async () => {
  database = await migratedDatabase();
});
afterAll(async () => {
  killApis();
  await database.close();
});

const start = (settings: Record<string, string> = {}): Promise<ApiProcess> => startApiProcess(database, settings);

describe('the API process', () => {
  it('answers health, writes one JSON line an event, and closes within two seconds while a stream is open', async () => {
    const api = await start();
    expect(await (await fetch(`${api.url}/healthz`)).json()).toEqual({ status: 'ok' });
    const ready = async () => (await fetch(`${api.url}/readyz`)).json();
    await expect.poll(ready, { timeout: 20_000 }).toMatchObject({
      status: 'ok',
      postgres: 'ok',
      redis: 'ok',
      event_loop: 'ok',
    });
    for (const line of api.log().trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ part: 'api' });

    const key = await makeKey(database);
    const ask = asker(api.url, key);
    const run = await submit({ ask }, await prepare({ ask }));
    const headers = { authorization: `Bearer ${key}` };
    const [response] = await once(get(`${api.url}/v1/runs/${run.id}/stream`, { headers }), 'response');
    response.on('error', () => undefined).resume();
    expect(response.statusCode).toBe(200);

    const began = Date.now();
    api.child.kill('SIGTERM');
    const [code] = await once(api.child, 'exit');
    expect(code).toBe(0);
    expect(Date.now() - began).toBeLessThan(2_000);
  });

  it('says in /readyz that Redis is away, and still reads runs from Postgres', async () => {
    const api = await start({ REDIS_URL: 'redis://127.0.0.1:1' });
    const ready = async () => {
      const answer = await fetch(`${api.url}/readyz`);
      return [answer.status, await answer.json()];
    };
    const away = [503, { status: 'unavailable', postgres: 'ok', redis: 'away' }];
    await expect.poll(ready, { timeout: 20_000 }).toMatchObject(away);
    expect((await asker(api.url, await makeKey(database))('GET', '/v1/fine_tuning/jobs')).status).toBe(200);
    api.child.kill('SIGKILL');
  });

  it('says that Postgres is away as 503, worth a retry', async () => {
    const away = Object.assign(new URL(database.databaseUrl), { port: '1' }).href;
    const api = await start({ DATABASE_URL: away });
    expect(await (await fetch(`${api.url}/readyz`)).json()).toMatchObject({ postgres: 'away', redis: 'ok' });
    const answer = await asker(api.url, 'mk-any')('GET', '/v1/models');
    expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([503, 'true']);
    expect(answer.json.error.code).toBe('unavailable');
    api.child.kill('SIGKILL');
  });

  it('names a setting that is missing and ends', async () => {
    const api = await start({ DATABASE_URL: '' });
    expect(api.child.exitCode).toBe(1);
    expect(api.log()).toMatch(/DATABASE_URL/);
  });
});
