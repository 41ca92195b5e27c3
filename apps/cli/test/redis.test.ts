import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, expect, test } from 'vitest';
import type { RunningServer } from '../src/up/postgres.js';
import { isRunning } from '../src/up/processes.js';
import { startRedis } from '../src/up/redis.js';

const root = mkdtempSync(path.join(tmpdir(), 'moraine redis '));
const options = { dir: path.join(root, 'redis'), logFile: path.join(root, 'logs', 'redis.log') };
let running: RunningServer | null = null;
const start = async (): Promise<RunningServer> => {
  running = await startRedis(options);
  return running;
};
afterAll(async () => {
  await running?.stop();
  rmSync(root, { recursive: true, force: true });
});

async function ask<T>(server: RunningServer, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(server.url, { retryStrategy: null });
  try {
    return await question(client);
  } finally {
    client.disconnect();
  }
}

test('it evicts nothing, writes an append-only file and wants its password', async () => {
  const server = await start();
  expect(await ask(server, (client) => client.config('GET', 'maxmemory-policy'))).toEqual([
    'maxmemory-policy',
    'noeviction',
  ]);
  expect(await ask(server, (client) => client.config('GET', 'appendonly'))).toEqual(['appendonly', 'yes']);
  const stranger = new Redis({ port: server.port, host: '127.0.0.1', retryStrategy: null });
  stranger.on('error', () => {});
  await expect(stranger.ping()).rejects.toThrow(/NOAUTH/);
  stranger.disconnect();
  expect(statSync(path.join(options.dir, 'server.json')).mode & 0o777).toBe(0o600);
});

test('a second start takes over the server that runs', async () => {
  const before = await start();
  const again = await start();
  expect(again.adopted).toBe(true);
  expect(again.id).toEqual(before.id);
});

test('what was acknowledged is there after kill -9', async () => {
  const before = await start();
  await ask(before, (client) =>
    client.mset(Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`key-${i}`, i]))),
  );
  process.kill(before.id.pid, 'SIGKILL');
  await before.ended;
  const after = await start();
  expect(after.adopted).toBe(false);
  expect(await ask(after, (client) => client.dbsize())).toBe(500);
});

test('a server that holds our file but hangs is ended before another is started on that file', async () => {
  const before = await start();
  process.kill(before.id.pid, 'SIGSTOP');
  const after = await start();
  expect(after.adopted).toBe(false);
  expect(isRunning(before.id)).toBe(false);
  expect(await ask(after, (client) => client.dbsize())).toBe(500);
});

test('another port is chosen when someone took ours', async () => {
  const before = await start();
  await before.stop();
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.listen(before.port, '127.0.0.1', resolve));
  const after = await start();
  squatter.close();
  expect(after.port).not.toBe(before.port);
  expect(await ask(after, (client) => client.dbsize())).toBe(500);
  await after.stop();
  expect(isRunning(after.id)).toBe(false);
});
