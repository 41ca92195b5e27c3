import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { identify } from '../src/up/processes.js';
import { lockStack, readStack, runningStack, type StackFile, saveStack, writeStack } from '../src/up/stack-file.js';

const root = mkdtempSync(path.join(tmpdir(), 'moraine lock '));
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(root, 'stack '));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const DEAD = JSON.stringify({ pid: process.pid, started: '1' });
const leaveLock = (content: string, folder = dir): void => writeFileSync(path.join(folder, 'up.lock'), content);
const stackFile = (supervisor: StackFile['supervisor']): StackFile => ({
  supervisor,
  api: { url: 'http://127.0.0.1:7311', port: 7311 },
  apiKey: 'mk-x',
  postgres: null,
  redis: null,
  parts: [],
});

test('a folder has one supervisor at a time, and the second start names the process and the address of the first', () => {
  const lock = lockStack(dir);
  writeStack(dir, stackFile(identify(process.pid)));
  expect(() => lockStack(dir)).toThrow(
    `A stack already runs on ${dir} (process ${process.pid}, http://127.0.0.1:7311).`,
  );
  lock.release();
  lockStack(dir).release();
  expect(readdirSync(dir)).toEqual(['stack.json']);
});

test('a file that is whole and knows no root key is passed over where the copy knows it', () => {
  saveStack(dir, stackFile(null));
  writeStack(dir, { ...stackFile(null), apiKey: null });
  expect(readStack(dir).apiKey).toBe('mk-x');
  saveStack(dir, { ...stackFile(null), apiKey: null });
  expect(readStack(dir)).toEqual({ ...stackFile(null), apiKey: null });
});

test.each([
  ['of a process that is gone', DEAD],
  ['that was cut short by a power failure', ''],
])('a lock %s is replaced, and nothing of it is left', (_, content) => {
  leaveLock(content);
  lockStack(dir);
  expect(() => lockStack(dir)).toThrow('A stack already runs');
  expect(readdirSync(dir)).toEqual(['up.lock']);
});

test('a start that was killed while it replaced the lock of a dead one does not block the next', () => {
  leaveLock(DEAD);
  writeFileSync(path.join(dir, `up.lock.${process.pid}-1`), JSON.stringify({ pid: process.pid, started: '2' }));
  lockStack(dir);
  expect(readdirSync(dir)).toEqual(['up.lock']);
});

test('of four starts that find the lock of a dead one at the same moment exactly one gets it, 200 times', async () => {
  const rounds = 200;
  for (let i = 0; i < rounds; i++) {
    mkdirSync(path.join(dir, String(i)));
    leaveLock(DEAD, path.join(dir, String(i)));
  }
  // Each contender waits in a busy loop for the same moment of the clock: real processes, started together.
  const contender = `
    const { lockStack } = await import(${JSON.stringify(new URL('../dist/up/stack-file.js', import.meta.url).href)});
    const won = [];
    for (let i = 0; i < ${rounds}; i++) {
      while (Date.now() < ${Date.now() + 1500} + i * 4);
      try {
        await lockStack(${JSON.stringify(dir)} + '/' + i);
        won.push(i);
      } catch (error) {
        if (error.code !== 'conflict') throw error;
      }
    }
    console.log(JSON.stringify(won));
    setTimeout(() => {}, 2000);`;
  const start = (): Promise<{ stdout: string }> =>
    promisify(execFile)(process.execPath, ['--input-type=module', '-e', contender]);
  const wins = (await Promise.all([start(), start(), start(), start()])).flatMap(
    ({ stdout }) => JSON.parse(stdout) as number[],
  );
  expect(wins.toSorted((a, b) => a - b)).toEqual(Array.from({ length: rounds }, (_, i) => i));
}, 30_000);

test('a file in the place of the folder is refused by its name, and is not touched', () => {
  const file = path.join(dir, 'data');
  writeFileSync(file, 'mine');
  for (const place of [file, path.join(file, 'below')])
    expect(() => lockStack(place)).toThrow(
      expect.objectContaining({ code: 'storage', hint: expect.stringContaining('--data DIR') }),
    );
  expect(() => lockStack(file)).toThrow(`The folder ${file} cannot be made: it is a file.`);
  expect(readFileSync(file, 'utf8')).toBe('mine');
});

test('a stack runs while its supervisor does, and its key and port are remembered afterwards', () => {
  writeStack(dir, stackFile(identify(process.pid)));
  expect(runningStack(dir)).toEqual({ origin: 'http://127.0.0.1:7311', apiKey: 'mk-x' });
  writeStack(dir, stackFile({ pid: process.pid, started: '1' }));
  expect(runningStack(dir)).toBeNull();
  expect(readStack(dir)).toMatchObject({ apiKey: 'mk-x', api: { port: 7311 } });
});

test.each(['', '{"supervisor":', '{"supervisor":null,"apiKey":7}', null])(
  'a stack file that holds %j is made good by its copy',
  (content) => {
    saveStack(dir, stackFile(identify(process.pid)));
    const file = path.join(dir, 'stack.json');
    if (content === null) rmSync(file);
    else writeFileSync(file, content);
    expect(readStack(dir)).toEqual(stackFile(identify(process.pid)));
    expect(runningStack(dir)?.apiKey).toBe('mk-x');
  },
);

test.each(['', null])(
  'a lock that holds %j does not let a second supervisor in while the first runs',
  async (content) => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']);
    try {
      saveStack(dir, stackFile(identify(child.pid ?? 0)));
      if (content !== null) leaveLock(content);
      expect(() => lockStack(dir)).toThrow(`A stack already runs on ${dir} (process ${child.pid}`);
      expect(() => lockStack(dir)).toThrow('A stack already runs');
    } finally {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
    lockStack(dir);
  },
);

test('what a start fills in for one folder is not there for the next', () => {
  Object.assign(readStack(dir), { apiKey: 'mk-x', postgres: { url: 'postgresql://there' } });
  expect(readStack(dir)).toMatchObject({ apiKey: null, postgres: null });
});

test('a stack file that is damaged or of another version counts as none', () => {
  writeFileSync(path.join(dir, 'stack.json'), '{"supervisor":');
  expect(readStack(dir).apiKey).toBeNull();
  writeFileSync(path.join(dir, 'stack.json'), '{"supervisor":null,"apiKey":7}');
  expect(readStack(dir).apiKey).toBeNull();
});
