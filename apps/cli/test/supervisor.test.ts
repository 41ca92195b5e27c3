import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import type { PartEvent } from '../src/up/keep-running.js';
import { freePort } from '../src/up/ports.js';
import { startPostgres } from '../src/up/postgres.js';
import { identify, isRunning } from '../src/up/processes.js';
import { startRedis } from '../src/up/redis.js';
import { readStack, runningStack, writeStack } from '../src/up/stack-file.js';
import { isReady, type Stack, type StackOptions, startStack } from '../src/up/supervisor.js';
import { killAllOf, moraine, processesOf, startUp } from './stack.js';

// One data folder for all tests, in order: each start finds what the one before left. No worker: nothing is trained.
vi.setConfig({ testTimeout: 120_000 });
const dataDir = mkdtempSync(path.join(tmpdir(), 'moraine supervisor '));
vi.stubEnv('DATABASE_URL', '');
vi.stubEnv('REDIS_URL', '');
vi.stubEnv('MORAINE_API_KEY', '');
const start = (more: Partial<StackOptions> = {}) => startStack({ dataDir, workers: 0, ...more });
let stack: Stack;
const events: PartEvent[] = [];
afterAll(() => {
  killAllOf(dataDir);
  rmSync(dataDir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

/** Resolves once the events say that a part was started again. */
const startedAgain = (name: string): Promise<void> =>
  vi.waitFor(() => expect(events.filter(({ part, type }) => part === name && type === 'started')).toHaveLength(2), {
    timeout: 30_000,
  });
/** Takes a port as soon as it is free, and keeps it. */
async function squat(port: number): Promise<Server> {
  for (;;) {
    const server = createServer();
    const taken = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false)).listen(port, '127.0.0.1', () => resolve(true));
    });
    if (taken) return server;
  }
}

test('a stack is ready when it resolves, and after stop nothing runs and the folder is free', async () => {
  stack = await start({ port: 0, onEvent: (event) => events.push(event) });
  expect(await isReady(stack)).toBe(true);
  expect(runningStack(dataDir)).toEqual({ origin: stack.origin, apiKey: stack.apiKey });
  expect(events.map(({ part, type }) => `${part} ${type}`).sort()).toEqual([
    'api started',
    'postgres started',
    'redis started',
  ]);
  expect(events.at(-1)?.part).toBe('api');
  await expect(start()).rejects.toMatchObject({ code: 'conflict' });
  const pids = events.flatMap((event) => ('pid' in event ? event.pid : []));
  await stack.stop();
  expect(pids.map(identify)).toEqual([null, null, null]);
  expect(await isReady(stack)).toBe(false);
  expect(runningStack(dataDir)).toBeNull();
  expect(processesOf(dataDir)).toEqual([]);
});

test('the next start has the same key, and another port when the last one is taken', async () => {
  const { api, apiKey } = readStack(dataDir);
  const squatter = createServer().listen(api?.port, '127.0.0.1');
  await once(squatter, 'listening');
  try {
    await expect(start({ port: api?.port })).rejects.toMatchObject({
      code: 'unavailable',
      param: '--port',
      message: `Port ${api?.port} of 127.0.0.1 is taken by another program.`,
    });
    expect(processesOf(dataDir)).toEqual([]);
    events.length = 0;
    stack = await start({ onEvent: (event) => events.push(event) });
    expect(stack.apiKey).toBe(apiKey);
    expect(stack.origin).not.toBe(api?.url);
  } finally {
    squatter.close();
  }
});

test('a server that comes back on another port, because its own was taken, is made known to the API', async () => {
  const before = new URL(readStack(dataDir).redis?.url ?? '');
  const redis = events.find(({ part }) => part === 'redis');
  process.kill(redis && 'pid' in redis ? redis.pid : 0, 'SIGKILL');
  const squatter = await squat(Number(before.port));
  try {
    await startedAgain('redis');
    await startedAgain('api');
    const after = new URL(readStack(dataDir).redis?.url ?? '');
    expect([after.port === before.port, after.password]).toEqual([false, before.password]);
    expect(await isReady(stack)).toBe(true);
    expect(events.filter(({ part }) => part === 'postgres').map(({ type }) => type)).toEqual(['started']);
  } finally {
    squatter.close();
    await stack.kill();
  }
  expect(processesOf(dataDir)).toEqual([]);
});

test('a start that is given up stops what runs by then and leaves the folder free', async () => {
  const abort = new AbortController();
  const onEvent = ({ part }: PartEvent): void => {
    if (part === 'redis') abort.abort();
  };
  await expect(start({ signal: abort.signal, onEvent })).rejects.toThrow('aborted');
  expect(processesOf(dataDir)).toEqual([]);
  expect(readStack(dataDir).supervisor).toBeNull();
});

test('what is left of a stack with more workers is taken over or ended: as many run as were asked for', async () => {
  const { up } = await startUp(dataDir, '--workers', '2');
  const left = readStack(dataDir).parts;
  expect(left.map(({ name }) => name).sort()).toEqual(['api', 'worker-1', 'worker-2']);
  up.child.kill('SIGKILL');
  await up.ended;
  events.length = 0;
  stack = await start({ onEvent: (event) => events.push(event) });
  expect(events.map(({ part, type }) => `${part} ${type}`)).toEqual(
    expect.arrayContaining(['postgres adopted', 'redis adopted']),
  );
  const [first, second] = ['worker-1', 'worker-2'].map((worker) => left.find(({ name }) => name === worker));
  expect([first && isRunning(first), second && isRunning(second)]).toEqual([false, false]);
  expect(readStack(dataDir).parts.map(({ name }) => name)).toEqual(['api']);
  await stack.stop();
  expect(processesOf(dataDir)).toEqual([]);
});

test('servers and a key of the user are used as they are, and left running', async () => {
  const folder = (name: string) => ({ dir: path.join(dataDir, name), logFile: path.join(dataDir, `${name}.log`) });
  const [postgres, redis] = await Promise.all([startPostgres(folder('own pg')), startRedis(folder('own redis'))]);
  const key = `mk-${'k'.repeat(40)}`;
  vi.stubEnv('DATABASE_URL', postgres.url);
  vi.stubEnv('REDIS_URL', redis.url);
  vi.stubEnv('MORAINE_API_KEY', key);
  try {
    events.length = 0;
    stack = await start({ onEvent: (event) => events.push(event) });
    expect(events.map(({ part }) => part)).toEqual(['api']);
    expect(stack.apiKey).toBe(key);
    expect(readStack(dataDir)).toMatchObject({ postgres: { url: postgres.url }, redis: { url: redis.url } });
    await stack.stop();
    expect([isRunning(postgres.id), isRunning(redis.id)]).toEqual([true, true]);

    vi.stubEnv('DATABASE_URL', postgres.url.replace(/:[^:@]+@/, ':wrong@'));
    await expect(start()).rejects.toMatchObject({ code: 'storage', message: expect.stringContaining('password') });
    expect(readStack(dataDir).supervisor).toBeNull();
  } finally {
    for (const name of ['DATABASE_URL', 'REDIS_URL', 'MORAINE_API_KEY']) vi.stubEnv(name, '');
    await Promise.all([postgres.stop(), redis.stop()]);
  }
});

test('API, Redis and Postgres that hang are ended and started again, and an API whose port is taken meanwhile moves', async () => {
  events.length = 0;
  const onEvent = (event: PartEvent) => events.push(event);
  stack = await start({ onEvent, liveness: { everyMs: 500, hungMs: 5_000 } });
  const pidOf = (name: string): number => stack.parts.find((part) => part.name === name)?.current()?.id.pid ?? 0;
  const names = ['api', 'redis', 'postgres'];
  const hung = names.map(pidOf);
  for (const pid of hung) process.kill(pid, 'SIGSTOP');
  await Promise.all(names.map(startedAgain));
  expect(events.filter(({ type }) => type === 'hung').map(({ part }) => part)).toEqual(expect.arrayContaining(names));
  expect(hung.map(identify)).toEqual([null, null, null]);
  expect(await isReady(stack)).toBe(true);

  const before = stack.origin;
  const pid = pidOf('api');
  process.kill(pid, 'SIGKILL');
  const squatter = await squat(Number(new URL(before).port));
  try {
    await vi.waitFor(() => expect(stack.origin).not.toBe(before), 30_000);
    await vi.waitFor(async () => expect(await isReady(stack)).toBe(true), 30_000);
    expect(runningStack(dataDir)?.origin).toBe(stack.origin);
  } finally {
    squatter.close();
    await stack.stop();
  }
  expect(processesOf(dataDir)).toEqual([]);
});

test('a stack file that was damaged or lost while the parts ran on their own leaves no process behind, and the key stays', async () => {
  const keys = new Set([readStack(dataDir).apiKey]);
  for (const damage of ['{"supervisor":nul', null]) {
    const { up } = await startUp(dataDir, '--workers', '1', '--bare');
    const left = readStack(dataDir).parts;
    expect(left).toHaveLength(2);
    up.child.kill('SIGKILL');
    await up.ended;
    // Once both the file and its copy: then no file remembers the processes, and only a new key can be had.
    const files = damage === null ? ['stack.json', 'stack.copy.json'] : ['stack.json'];
    for (const name of files) writeFileSync(path.join(dataDir, name), damage ?? 'x');
    stack = await start();
    if (damage !== null) expect(keys.add(stack.apiKey).size).toBe(1);
    const running = stack.parts.map((part) => part.current()?.id.pid);
    expect(left.filter((part) => isRunning(part) && !running.includes(part.pid))).toEqual([]);
    await stack.stop();
    expect(processesOf(dataDir)).toEqual([]);
  }
});

test('of two `moraine up` on one folder at once one is up and the other names it', async () => {
  const both = [1, 2].map(() => moraine(['up', '--data', dataDir, '--workers', '0', '--bare']));
  const ends = both.map(async (up) => ({ up, status: await up.ended }));
  const { up: loser, status } = await Promise.race(ends);
  const winner = both.find((up) => up !== loser);
  expect([status, loser.output()]).toEqual([1, expect.stringContaining('A stack already runs on')]);
  await winner?.says(/Moraine is up after/, 100_000);
  winner?.child.kill('SIGTERM');
  await Promise.all(ends);
  expect(processesOf(dataDir)).toEqual([]);
});

test.each([
  ['a key each', ''],
  ['the same key', `mk-${'s'.repeat(40)}`],
])(
  'two stacks that start at once on one port, with %s, each get one and take no other for theirs',
  async (name, key) => {
    vi.stubEnv('MORAINE_API_KEY', key);
    const port = await freePort();
    const folders = ['one', 'two'].map((folder) => path.join(dataDir, name, folder));
    for (const folder of folders)
      writeStack(folder, { ...readStack(folder), api: { url: `http://127.0.0.1:${port}`, port } });
    const [one, two] = await Promise.all(folders.map((folder) => start({ dataDir: folder })));
    if (!one || !two) throw new Error('not started');
    expect(one.origin).not.toBe(two.origin);
    // One that is late for a moment on a busy machine says that it is not ready.
    await expect.poll(() => Promise.all([isReady(one), isReady(two)]), { timeout: 20_000 }).toEqual([true, true]);
    await expect.poll(() => isReady({ origin: one.origin, apiKey: two.apiKey }), { timeout: 20_000 }).toBe(key !== '');
    const pidOf = (stack: Stack): number | undefined =>
      stack.parts.find((part) => part.name === 'api')?.current()?.id.pid;
    expect(new Set([pidOf(one), pidOf(two), undefined]).size).toBe(3);
    for (const [folder, stack] of [
      [folders[0], one],
      [folders[1], two],
    ] as const)
      expect(runningStack(folder ?? '')?.origin).toBe(stack.origin);
    vi.stubEnv('MORAINE_API_KEY', '');
    await Promise.all([one.stop(), two.stop()]);
    expect(processesOf(dataDir)).toEqual([]);
  },
);
