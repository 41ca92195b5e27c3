import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { showLogs } from '../src/log-view.js';
import { tailLog } from '../src/up/log-tail.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine logs '));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test('what is appended is shown with its part: from the level on, errors with their message, lines of a crash as they are', () => {
  const file = path.join(dir, 'api.log');
  writeFileSync(file, '{"level":50,"time":0,"msg":"before"}\n');
  const shown: string[] = [];
  const tail = showLogs([{ part: 'api', file }], 'info', (line) => shown.push(line));
  appendFileSync(
    file,
    '{"level":20,"time":0,"msg":"debug"}\n{"level":30,"time":0,"part":"api","msg":"GET /","durationMs":2}\n',
  );
  appendFileSync(
    file,
    '{"level":50,"time":0,"msg":"broke","err":{"type":"Error","message":"no disk","stack":"Error: no disk\\n at x"}}\n',
  );
  appendFileSync(file, 'Segmentation fault\n{"level":30,"ti');
  tail.close();
  expect(shown.map((line) => line.replace(/\[[\d:]+\] /, ''))).toEqual([
    'api │ INFO: GET / {"durationMs":2}',
    'api │ ERROR: broke: no disk',
    'api │ Segmentation fault',
  ]);
});

test('names of parts share one column, and warnings alone are shown when asked for', () => {
  const files = ['api', 'worker-1'].map((part) => ({ part, file: path.join(dir, `${part}.quiet.log`) }));
  const shown: string[] = [];
  const tail = showLogs(files, 'warn', (line) => shown.push(line));
  for (const { part, file } of files)
    appendFileSync(file, `{"level":30,"time":0,"msg":"info"}\n{"level":40,"time":0,"msg":"of ${part}"}\n`);
  tail.close();
  expect(shown.map((line) => line.replace(/\[[\d:]+\] /, ''))).toEqual([
    'api      │ WARN: of api',
    'worker-1 │ WARN: of worker-1',
  ]);
});

test('a log that appears later, is cut, or is set aside is followed without losing or repeating a line', async () => {
  const file = path.join(dir, 'late.log');
  const lines: string[] = [];
  const tail = tailLog(file, (line) => lines.push(line));
  const add = async (text: string, expected: string[]): Promise<void> => {
    appendFileSync(file, text);
    await expect.poll(() => lines).toEqual(expected);
  };
  await add('one\nt', ['one']);
  await add('wo\n', ['one', 'two']);
  renameSync(file, `${file}.1`);
  const longer = 'three, in a file that is longer than the one before';
  await add(`${longer}\n`, ['one', 'two', longer]);
  writeFileSync(file, '4\n');
  await expect.poll(() => lines).toEqual(['one', 'two', longer, '4']);
  const letter = Buffer.from('é\n');
  appendFileSync(file, letter.subarray(0, 1));
  await new Promise((resolve) => setTimeout(resolve, 250));
  appendFileSync(file, letter.subarray(1));
  tail.close();
  expect(lines.at(-1)).toBe('é');
  expect(lines).toHaveLength(5);
});
