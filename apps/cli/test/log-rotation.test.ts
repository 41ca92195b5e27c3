import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openSmallDisk } from '@moraine/testing';
import { afterAll, beforeEach, expect, test } from 'vitest';
import { keepLogsSmall, rotate, setAside } from '../src/up/log-rotation.js';

const dir = mkdtempSync(join(tmpdir(), 'moraine-logs-'));
const file = join(dir, 'api.log');
const read = (n?: number): string => readFileSync(n === undefined ? file : `${file}.${n}`, 'utf8');
beforeEach(() => {
  for (const name of [file, ...[1, 2, 3, 4].map((n) => `${file}.${n}`)]) rmSync(name, { force: true });
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('a log that is small, or not there, is left alone', () => {
  expect(rotate(file, { bytesMax: 10, kept: 2 })).toBe(false);
  writeFileSync(file, 'short\n');
  expect(rotate(file, { bytesMax: 10, kept: 2 })).toBe(false);
  expect(setAside(file, { bytesMax: 10, kept: 2 })).toBe(false);
  expect(existsSync(`${file}.1`)).toBe(false);
});

test.each([rotate, setAside])('the newest full logs are kept in order, and no more of them than asked for', (turn) => {
  for (const round of ['one', 'two', 'three', 'four']) {
    appendFileSync(file, `${round} is long enough\n`);
    expect(turn(file, { bytesMax: 10, kept: 2 })).toBe(true);
  }
  expect([read(1), read(2)]).toEqual(['four is long enough\n', 'three is long enough\n']);
  expect(existsSync(`${file}.3`)).toBe(false);
  if (existsSync(file)) expect(read()).toBe('');
});

test('a process that writes all the while loses no line, and its log stays small', async () => {
  const LINES = 20_000;
  const program = `let i = 0; const { writeSync } = require('fs');
    const go = () => { for (let n = 0; n < 200 && i < ${LINES}; n++) writeSync(1, 'line ' + i++ + ' ' + 'x'.repeat(80) + '\\n'); if (i < ${LINES}) setTimeout(go, 5); }; go();`;
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', openSync(file, 'a'), 'inherit'] });
  const stop = keepLogsSmall(() => [file], { bytesMax: 200_000, kept: 50 }, 20);
  await once(child, 'exit');
  stop();
  await sleep(30);
  expect(statSync(file).size).toBeLessThan(1_500_000);
  const kept = Array.from({ length: 50 }, (_, i) => `${file}.${50 - i}`).filter((name) => existsSync(name));
  expect(kept.length).toBeGreaterThan(1);
  const lines = [...kept, file].flatMap((name) => readFileSync(name, 'utf8').trim().split('\n').filter(Boolean));
  for (const name of kept) rmSync(name, { force: true });
  // The moment between the last look and the emptying is the one place where a line can go; in order they are always.
  const numbers = lines.map((line) => Number(/^line (\d+) x{80}$/.exec(line)?.[1]));
  expect(numbers.every((n, i) => i === 0 || n > (numbers[i - 1] ?? 0))).toBe(true);
  expect(LINES - numbers.length).toBeLessThanOrEqual(LINES / 1_000);
}, 30_000);

const disk = openSmallDisk(1);
afterAll(() => disk?.close());
test.skipIf(disk === null)(
  'on a disk without room the kept logs go, and the log begins anew (needs leave to mount)',
  () => {
    const full = join(disk?.dir ?? dir, 'a.log');
    writeFileSync(`${full}.1`, 'old\n');
    writeFileSync(full, 'y'.repeat(300_000));
    disk?.fill();
    expect(rotate(full, { bytesMax: 1_000, kept: 2 })).toBe(true);
    expect(statSync(full).size).toBe(0);
  },
);
