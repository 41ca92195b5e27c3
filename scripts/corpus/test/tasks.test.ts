import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { validateFile } from '@moraine/data';
import { expect, test } from 'vitest';
import { DEVELOPMENT_SEED, generateTask, RESERVED_SEED } from '../tasks.js';
import { COMMON_NAMES, NEW_NAMES } from '../world.js';

const repository = resolve(import.meta.dirname, '../../..');
const folder = join(repository, 'examples/tasks');
const task = generateTask(DEVELOPMENT_SEED);

test('the committed files are what the generator writes', async () => {
  const files = {
    'record-train.jsonl': task.train,
    'record-validation.jsonl': task.validation,
    'record-heldout.jsonl': task.heldout,
    'record-newnames.jsonl': task.newNames,
    'closed-book.jsonl': task.closedBook,
    'source.jsonl': task.source,
  };
  for (const [name, rows] of Object.entries(files)) {
    const committed = await readFile(join(folder, name), 'utf8');
    expect(committed === rows.map((row) => `${JSON.stringify(row)}\n`).join(''), name).toBe(true);
    const report = await validateFile(join(folder, name));
    expect(report).toMatchObject({ rows: rows.length, errors: [] });
  }
});

test('no two rows share an answer or a prompt, over all sets', () => {
  const rows = [...task.train, ...task.validation, ...task.heldout, ...task.newNames];
  expect(new Set(rows.map((row) => row.completion)).size).toBe(rows.length);
  expect(new Set(rows.map((row) => row.prompt)).size).toBe(rows.length);
});

test('answers say what the prompts say', () => {
  for (const { prompt, completion } of task.heldout) {
    const { act, from, to, count } = JSON.parse(completion) as Record<string, string | number>;
    expect(prompt.endsWith('\nRecord?')).toBe(true);
    for (const value of [from, to, count]) expect(prompt).toContain(String(value));
    expect(['give', 'sell', 'lend', 'send']).toContain(act);
  }
});

test('half of the known rows use common names; new-name rows use names that no training row holds', () => {
  const common = new Set(COMMON_NAMES);
  const share =
    task.train.filter((row) => common.has((JSON.parse(row.completion) as { from: string }).from)).length /
    task.train.length;
  expect(Math.abs(share - 0.5)).toBeLessThan(0.05);
  const trained = task.train.map((row) => row.prompt).join('\n');
  for (const name of NEW_NAMES) expect(trained.includes(name)).toBe(false);
  const fresh = new Set(NEW_NAMES);
  for (const { completion } of task.newNames) {
    const { from, to } = JSON.parse(completion) as { from: string; to: string };
    expect(fresh.has(from) && fresh.has(to)).toBe(true);
  }
});

test('the reserved seed is refused unless it is asked for as such', async () => {
  const out = await mkdtemp(join(tmpdir(), 'moraine-task-'));
  const script = join(repository, 'scripts/corpus/make-tasks.ts');
  try {
    const run = promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', script, '--seed', String(RESERVED_SEED), '--out', out],
      {
        cwd: repository,
      },
    );
    await expect(run).rejects.toThrow('kept for a final check');
  } finally {
    await rm(out, { recursive: true });
  }
});
