import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import { logSince, openLog, readJson, writePrivate } from '../src/up/files.js';
import { freePort, isPortFree } from '../src/up/ports.js';
import { endProcess, identify, isRunning, type ProcessId, waitForEnd } from '../src/up/processes.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine processes '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

async function startNode(line: string): Promise<{ id: ProcessId; ended: Promise<unknown[]> }> {
  const child = spawn(process.execPath, ['-e', `${line}; console.log('ready')`], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const ended = once(child, 'close');
  await once(child.stdout, 'data');
  const id = identify(child.pid ?? 0);
  if (!id) throw new Error('the process has no id');
  return { id, ended };
}

test('a process is itself, and not another one that got its pid later', () => {
  const me = identify(process.pid);
  expect(me && isRunning(me)).toBe(true);
  expect(isRunning({ pid: process.pid, started: '1' })).toBe(false);
  for (const pid of [0, -1, 1.5, Number.NaN, 2 ** 30]) expect(identify(pid)).toBeNull();
});

test('a process that ends when asked is not killed, one that does not is', async () => {
  const polite = await startNode("process.on('SIGTERM', () => process.exit(3)); setInterval(() => {}, 1000)");
  await endProcess(polite.id, 'SIGTERM', 10_000);
  expect(await polite.ended).toEqual([3, null]);
  const deaf = await startNode("process.on('SIGTERM', () => {}); setInterval(() => {}, 1000)");
  expect(await waitForEnd(deaf.id, 50)).toBe(false);
  await endProcess(deaf.id, 'SIGTERM', 100);
  expect(await deaf.ended).toEqual([null, 'SIGKILL']);
  expect(isRunning(deaf.id)).toBe(false);
});

test('a private file is replaced whole and readable by its owner only', () => {
  const file = path.join(dir, 'deep', 'secret.json');
  writePrivate(file, '{"a":1}');
  writeFileSync(`${file}.${process.pid}.new`, 'left by a kill');
  writePrivate(file, '{"a":2}');
  expect(readJson(file)).toEqual({ a: 2 });
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(existsSync(`${file}.${process.pid}.new`)).toBe(false);
});

test('a file that is missing or cut short holds no JSON', () => {
  expect(readJson(path.join(dir, 'none.json'))).toBeNull();
  writeFileSync(path.join(dir, 'half.json'), '{"a":');
  expect(readJson(path.join(dir, 'half.json'))).toBeNull();
});

test('a log goes on where it ended, and one that has grown large is set aside first', () => {
  const file = path.join(dir, 'part.log');
  writeFileSync(file, 'before\n');
  expect(openLog(file).from).toBe(7);
  writeFileSync(file, 'before\nafter\n');
  expect(logSince(file, 7)).toBe('after\n');
  writeFileSync(file, Buffer.alloc(20_000_001, 'x'));
  expect(openLog(file).from).toBe(0);
  expect(statSync(file).size).toBe(0);
  expect(readFileSync(`${file}.1`).length).toBe(20_000_001);
});

test('a port is free until something listens on it', async () => {
  const port = await freePort();
  expect(await isPortFree(port)).toBe(true);
  const server = createServer().listen(port, '127.0.0.1');
  await once(server, 'listening');
  expect(await isPortFree(port)).toBe(false);
  server.close();
  await vi.waitFor(async () => expect(await isPortFree(port)).toBe(true));
});
