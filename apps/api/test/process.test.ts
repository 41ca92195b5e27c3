import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { get } from 'node:http';
import { fileURLToPath } from 'node:url';
import { createApiKey, ensureDefaultProject, openServices } from '@moraine/services';
import { migratedDatabase, type TestDatabase } from '@moraine/testing';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepare, submit } from './fixtures.js';
import { asker } from './support.js';

const MAIN = fileURLToPath(new URL('../dist/main.js', import.meta.url));

let database: TestDatabase;
const children = new Set<ChildProcess>();
beforeAll(async () => {
  database = await migratedDatabase();
});
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  await database.close();
});

interface Api {
  child: ChildProcess;
  url: string;
  log: () => string;
}

/** The built process as `moraine up` starts it. */
async function start(settings: Record<string, string> = {}): Promise<Api> {
  const env = {
    PATH: process.env.PATH,
    DATABASE_URL: database.databaseUrl,
    REDIS_URL: database.redisUrl,
    MORAINE_BLOBS: database.blobsDir,
    PORT: '0',
    ...settings,
  };
  const child = spawn(process.execPath, [MAIN], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  children.add(child);
  child.once('exit', () => children.delete(child));
  let log = '';
  for (const pipe of [child.stdout, child.stderr])
    pipe.on('data', (chunk: Buffer) => {
      log += chunk.toString();
    });
  await expect.poll(() => child.exitCode !== null || /listens on/.test(log), { timeout: 50_000 }).toBe(true);
  return { child, url: /http:\/\/127\.0\.0\.1:\d+/.exec(log)?.[0] ?? '', log: () => log };
}

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

    const key = await makeKey();
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
    expect((await asker(api.url, await makeKey())('GET', '/v1/fine_tuning/jobs')).status).toBe(200);
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

/** A key for the process's database. */
async function makeKey(): Promise<string> {
  const services = await openServices({ ...database, log: pino({ level: 'silent' }) });
  const project = await ensureDefaultProject(services);
  const { key } = await createApiKey(services, { projectId: project.id }, { name: 'test' });
  await services.close();
  return key;
}
