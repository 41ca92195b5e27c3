import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { showLogs } from '../src/log-view.js';

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
