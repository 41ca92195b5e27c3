import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import type { PartEvent } from '../src/up/keep-running.js';
import { identify } from '../src/up/processes.js';
import { readStack, runningStack } from '../src/up/stack-file.js';
import { isReady, type StackOptions, startStack } from '../src/up/supervisor.js';
import { processesOf } from './stack.js';

// One data folder for all tests, in order: each start finds what the one before left. No worker: nothing is trained.
vi.setConfig({ testTimeout: 120_000 });
const dataDir = mkdtempSync(path.join(tmpdir(), 'moraine supervisor '));
vi.stubEnv('DATABASE_URL', '');
vi.stubEnv('REDIS_URL', '');
vi.stubEnv('MORAINE_API_KEY', '');
const start = (more: Partial<StackOptions> = {}) => startStack({ dataDir, workers: 0, ...more });
afterAll(() => {
  for (const pid of processesOf(dataDir)) process.kill(pid, 'SIGKILL');
  rmSync(dataDir, { recursive: true, force: true });
  vi.unstubAllEnvs();
});

test('a stack is ready when it resolves, and after stop nothing runs and the folder is free', async () => {
  const events: PartEvent[] = [];
  const stack = await start({ port: 0, onEvent: (event) => events.push(event) });
  expect(await isReady(stack.origin)).toBe(true);
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
  expect(await isReady(stack.origin)).toBe(false);
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
    const stack = await start();
    expect(stack.apiKey).toBe(apiKey);
    expect(stack.origin).not.toBe(api?.url);
    await stack.kill();
    expect(processesOf(dataDir)).toEqual([]);
  } finally {
    squatter.close();
  }
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
