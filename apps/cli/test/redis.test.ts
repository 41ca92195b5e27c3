import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { afterAll, afterEach, describe, expect, test, vi } from 'vitest';
import type { RunningServer } from '../src/up/postgres.js';
import { identify, isRunning } from '../src/up/processes.js';
import { findRedis, startRedis } from '../src/up/redis.js';

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

describe('what an earlier start left', () => {
  const inDir = (name: string): string => path.join(options.dir, name);

  test('without its password is ended, and its data goes on under a new one', async () => {
    const before = await start();
    writeFileSync(inDir('server.json'), '{"port":');
    const after = await start();
    expect(after.adopted).toBe(false);
    expect(isRunning(before.id)).toBe(false);
    expect(after.url).not.toBe(before.url);
    expect(await ask(after, (client) => client.dbsize())).toBe(500);
  });

  test('is not looked for behind a number that another process has by now', async () => {
    await (await start()).stop();
    writeFileSync(inDir('redis.pid'), `${process.ppid}\n`);
    const after = await start();
    expect(after.id.pid).not.toBe(process.ppid);
    expect(isRunning(identify(process.ppid) ?? after.id)).toBe(true);
    expect(readFileSync(inDir('redis.pid'), 'utf8').trim()).toBe(String(after.id.pid));
    await after.stop();
  });

  test('broken beyond repair is an error with what the server says, and is not thrown away', async () => {
    const broken = { dir: path.join(root, 'broken'), logFile: path.join(root, 'logs', 'broken.log') };
    const manifest = path.join(broken.dir, 'appendonlydir', 'appendonly.aof.manifest');
    mkdirSync(path.dirname(manifest), { recursive: true });
    writeFileSync(manifest, 'this is no manifest\n');
    await expect(startRedis(broken)).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/^Redis \(.*\) does not start: .*manifest/s),
      hint: `Its whole log is ${broken.logFile}.`,
    });
    expect(readFileSync(manifest, 'utf8')).toBe('this is no manifest\n');
  });
});

describe('the server is', () => {
  const bin = mkdtempSync(path.join(root, 'bin '));
  afterEach(() => {
    vi.unstubAllEnvs();
  });
  const program = (folder: string, name: string, lines: string): string => {
    const file = path.join(bin, folder, name);
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, `#!/bin/sh\n${lines}\n`, { mode: 0o755 });
    return file;
  };
  const look = (...folders: string[]): Promise<string> => {
    vi.stubEnv('PATH', [...folders.map((folder) => path.join(bin, folder)), '/usr/bin', '/bin'].join(path.delimiter));
    return findRedis();
  };

  test('the first on PATH that is new enough: an older one, a broken one and a file that is no program are passed over', async () => {
    program('old', 'redis-server', 'echo "Redis server v=6.0.16 sha=0:0 bits=64"');
    program('broken', 'redis-server', 'exit 127');
    mkdirSync(path.join(bin, 'plain'), { recursive: true });
    copyFileSync(new URL(import.meta.url), path.join(bin, 'plain', 'redis-server'));
    const right = program('right', 'redis-server', 'echo "Redis server v=6.2.0 sha=0:0 bits=64"');
    program('later', 'redis-server', 'echo "Redis server v=7.4.1 sha=0:0 bits=64"');
    expect(await look('none', 'old', 'broken', 'plain', 'right', 'later')).toBe(right);
  });

  test('Valkey before Redis, wherever on PATH the two are', async () => {
    program('one', 'redis-server', 'echo "Redis server v=7.4.1 sha=0:0 bits=64"');
    const valkey = program('two', 'valkey-server', 'echo "Valkey server v=9.1.0 sha=0:0 bits=64"');
    expect(await look('one', 'two')).toBe(valkey);
  });
});
