import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { RunningPart } from '../src/up/keep-running.js';
import { endLeftover, type NodePartOptions, startNodePart } from '../src/up/node-part.js';
import { isRunning } from '../src/up/processes.js';
import type { RememberedPart } from '../src/up/stack-file.js';
import { killAllOf, processesOf } from './stack.js';

vi.setConfig({ testTimeout: 30_000 });

let dir: string;
let remembered: RememberedPart[];
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'moraine part '));
  remembered = [];
});
afterEach(() => {
  killAllOf(dir);
  rmSync(dir, { recursive: true, force: true });
});

const inDir = (name: string): string => path.join(dir, name);
/** Waits for SIGTERM and then says so. */
const POLITE = `process.on('SIGTERM', () => { console.log('saved'); process.exit(0); });`;
const DEAF = `process.on('SIGTERM', () => {});`;

/** A program of one line that is ready once it has written a file. */
function optionsFor(line: string, more: Partial<NodePartOptions> = {}): NodePartOptions {
  const entry = inDir('part.mjs');
  writeFileSync(
    entry,
    `import { writeFileSync } from 'node:fs';\n${line}\nwriteFileSync(process.env.READY_FILE, process.env.WHO);\nsetInterval(() => {}, 1000);\n`,
  );
  return {
    name: 'part',
    entry,
    env: { READY_FILE: inDir('ready'), WHO: 'me' },
    logFile: inDir('part.log'),
    leftover: undefined,
    remember: (part) => remembered.push(part),
    isReady: async () => existsSync(inDir('ready')),
    stopMs: 5_000,
    ...more,
  };
}
const logOf = (): string => readFileSync(inDir('part.log'), 'utf8');

test('a part is started with its settings, remembered by its process, and ready when it resolves', async () => {
  const part = await startNodePart(optionsFor("console.log('begin');"));
  expect(readFileSync(inDir('ready'), 'utf8')).toBe('me');
  expect(part.adopted).toBe(false);
  expect(remembered).toEqual([{ ...part.id, name: 'part', fingerprint: expect.stringMatching(/^[0-9a-f]{64}$/) }]);
  expect(logOf()).toBe('begin\n');
  await part.kill();
  await part.ended;
  expect(isRunning(part.id)).toBe(false);
});

describe('what a predecessor left', () => {
  async function leave(line: string): Promise<{ part: RunningPart; leftover: RememberedPart }> {
    const part = await startNodePart(optionsFor(line));
    const [leftover] = remembered;
    if (!leftover) throw new Error('nothing was remembered');
    return { part, leftover };
  }

  test('is taken over when it runs the same program with the same settings', async () => {
    const { part, leftover } = await leave(POLITE);
    const next = await startNodePart(optionsFor(POLITE, { leftover }));
    expect(next.adopted).toBe(true);
    expect(next.id).toEqual(part.id);
    expect(logOf()).toBe('');
    await next.stop();
    await next.ended;
    expect(logOf()).toBe('saved\n');
  });

  test('is asked to finish, and then replaced, when its settings differ', async () => {
    const { part, leftover } = await leave(POLITE);
    const env = { READY_FILE: inDir('ready'), WHO: 'another' };
    const next = await startNodePart(optionsFor(POLITE, { leftover, env }));
    expect(next.adopted).toBe(false);
    expect(isRunning(part.id)).toBe(false);
    expect(logOf()).toBe('saved\n');
    expect(remembered[1]?.fingerprint).not.toBe(leftover.fingerprint);
    await next.kill();
  });

  test('is neither taken over nor ended when another process has its number by now', async () => {
    const { part, leftover } = await leave(POLITE);
    const next = await startNodePart(optionsFor(POLITE, { leftover: { ...leftover, started: '1' } }));
    expect(next.adopted).toBe(false);
    expect(isRunning(part.id)).toBe(true);
    await Promise.all([next.kill(), part.kill()]);
  });

  test('is killed with what it forked when it does not finish in time', async () => {
    const fork = `import { spawn } from 'node:child_process';
      const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)']); console.log(child.pid);`;
    const { part, leftover } = await leave(`${DEAF}${fork}`);
    const forked = Number(logOf());
    expect(processesOf(dir)).toContain(forked);
    await endLeftover(leftover, 100);
    expect(isRunning(part.id)).toBe(false);
    await expect.poll(() => processesOf(dir)).toEqual([]);
  });
});

describe('a part that does not start', () => {
  test.each([
    [2, 'line 1\nline 2'],
    [7, 'line 3\nline 4\nline 5\nline 6\nline 7'],
  ])('is an error with its last words, at most five lines and none of an earlier start: %d lines', async (n, words) => {
    writeFileSync(inDir('part.log'), 'yesterday\n');
    const line = `for (let i = 1; i <= ${n}; i++) console.log('line ' + i); process.exit(1);`;
    await expect(startNodePart(optionsFor(line))).rejects.toMatchObject({
      message: `part ended while it started:\n${words}`,
      hint: `Its whole log is ${inDir('part.log')}.`,
    });
    expect(logOf()).toContain('yesterday');
  });

  test('because it is not built names the program and the command that builds it', async () => {
    const entry = inDir('none.js');
    await expect(startNodePart(optionsFor('', { entry }))).rejects.toMatchObject({
      message: `${entry} does not exist: part is not built.`,
      hint: 'Run `npm run build`.',
    });
    expect(remembered).toEqual([]);
  });

  test('because Ctrl-C came first is asked to finish', async () => {
    const abort = new AbortController();
    const isReady = async (): Promise<boolean> => {
      if (existsSync(inDir('ready'))) abort.abort();
      return false;
    };
    await expect(startNodePart(optionsFor(POLITE, { isReady, signal: abort.signal }))).rejects.toThrow('aborted');
    expect(logOf()).toBe('saved\n');
    expect(remembered.some(isRunning)).toBe(false);
  });
});
