import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ExperimentObject } from '@moraine/contract';
import { afterAll, describe, expect, test } from 'vitest';
import { readArguments } from '../src/args.js';
import { experimentsCommand } from '../src/commands/experiments.js';
import { readTree, withFileIds } from '../src/experiment-file.js';
import { cellsView, planView, progressView } from '../src/experiment-view.js';

const dir = mkdtempSync(path.join(tmpdir(), 'moraine-experiment-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const write = (name: string, text: string): string => {
  const file = path.join(dir, name);
  writeFileSync(file, text);
  return file;
};

describe('a file of an experiment', () => {
  test('is YAML or JSON', () => {
    const wanted = { name: 'a', arms: [{ adapter: 'lora', learning_rates: [1e-3] }] };
    expect(readTree(write('a.yaml', 'name: a\narms:\n  - { adapter: lora, learning_rates: [1.0e-3] }\n'))).toEqual(
      wanted,
    );
    expect(readTree(write('a.json', JSON.stringify(wanted)))).toEqual(wanted);
  });

  test.each([
    ['bad.yaml', 'name: [a\n', /bad\.yaml is not YAML: .*line 2/s],
    ['list.yaml', '- a\n', /list\.yaml holds no keys/],
  ])('%s is refused', (name, text, message) => {
    expect(() => readTree(write(name, text))).toThrow(message);
  });

  test('that is not there is refused by its whole path', () => {
    expect(() => readTree(path.join(dir, 'none.yaml'))).toThrow(`${dir}/none.yaml cannot be read`);
  });

  test('names files of rows in these keys and in no other, each looked up where it stands', async () => {
    const request = {
      name: 'test',
      training_file: 'train.jsonl',
      data_mix: [{ file_id: 'old.jsonl', weight: 2, role: 'source' }],
      evaluation: { validation: 'v.jsonl', test: 't.jsonl', source: ['s.jsonl', 'u.jsonl'], every_steps: 5 },
      arms: [{ name: 'source', adapter: 'lora', data_mix: [{ file_id: 'x.jsonl' }] }],
      metadata: { test: 'x' },
    };
    const asked: string[] = [];
    const resolved = await withFileIds(request, async (name) => {
      asked.push(name);
      return `file-${asked.length}`;
    });
    expect(asked).toEqual(['train.jsonl', 'old.jsonl', 'v.jsonl', 't.jsonl', 's.jsonl', 'u.jsonl', 'x.jsonl']);
    expect(resolved).toEqual({
      ...request,
      training_file: 'file-1',
      data_mix: [{ file_id: 'file-2', weight: 2, role: 'source' }],
      evaluation: { validation: 'file-3', test: 'file-4', source: ['file-5', 'file-6'], every_steps: 5 },
      arms: [{ name: 'source', adapter: 'lora', data_mix: [{ file_id: 'file-7' }] }],
    });
  });
});

describe('moraine experiments refuses', () => {
  const refusalOf = async (...words: string[]): Promise<unknown> => {
    try {
      return await experimentsCommand.run(readArguments(experimentsCommand, words));
    } catch (error) {
      return error;
    }
  };
  test.each([
    [['run'], 'The file of the experiment is missing.'],
    [['run', 'a', 'b'], "'b' is one argument too many."],
    [['show'], 'The id of the experiment is missing.'],
    [
      ['ls', '--status', 'runing'],
      "--status is 'runing', which is none of running, paused, succeeded, failed, cancelled.",
    ],
    [['table', 'exp_1', '--format', 'svg'], "--format is 'svg', which is none of md, csv, json."],
    [['curves', 'exp_1', '--metric', 'loss'], '--metric does not belong to curves, which has every metric.'],
    [['stop', 'exp_1'], "moraine experiments has no action 'stop'."],
  ])('%j', async (words, message) => {
    expect(await refusalOf(...words)).toMatchObject({ code: 'invalid_request', message });
  });
});

const noRungs = { hold_step: null, is_stopped: false, rungs: [] };
const experiment: ExperimentObject = {
  id: 'exp_1',
  object: 'experiment',
  created_at: 1,
  finished_at: null,
  name: 'methods',
  model: 'tiny',
  status: 'running',
  reason: null,
  request: {},
  arms: [
    {
      name: 'lora',
      method: { type: 'lora', label: 'lora r8', color: 'lora' },
      adapter: { type: 'lora', rank: 8 },
      trainable_parameters: 97_600,
      coverage: '35 linear layers with an adapter',
      replay_share: 0.25,
      learning_rates: [1e-3, 2e-3, 4e-3],
      runs: { least: 6, most: 12 },
      phase: 'final',
      learning_rate: 2e-3,
      is_bracketed: true,
      note: '0.002 is the best',
      seconds_per_run: { search: 61, final: 70 },
    },
  ],
  cells: [
    {
      arm: 'lora',
      phase: 'search',
      learning_rate: 2e-3,
      seed: 1,
      run_id: 'ftjob-1',
      status: 'succeeded',
      step: 40,
      steps: 40,
      score: 1.5,
      error: null,
      ...noRungs,
    },
    {
      arm: 'lora',
      phase: 'final',
      learning_rate: 2e-3,
      seed: 2,
      run_id: 'ftjob-2',
      status: 'running',
      step: 20,
      steps: 40,
      score: null,
      error: null,
      ...noRungs,
    },
    {
      arm: 'lora',
      phase: 'final',
      learning_rate: 2e-3,
      seed: 3,
      run_id: null,
      status: null,
      step: 0,
      steps: 0,
      score: null,
      error: null,
      ...noRungs,
    },
  ],
  runs: { least: 6, most: 12, made: 2, ended: 1 },
  warnings: ['one seed says nothing'],
  cost: {
    seconds: { least: 120, most: 3_700 },
    beside: { evaluations: { least: 4, most: 6 }, analyses: { least: 0, most: 0 } },
    workers: 2,
    measured_runs: 0,
  },
  cloned_from: null,
  pool: 'default',
  priority: 40,
  metadata: {},
};

test('a plan shows counts, rates, cost and what will not be comparable', () => {
  const shown = planView(experiment);
  expect(shown).toMatch(
    /lora +lora r8 +97,600 +25 % +0\.001 0\.002 0\.004 +6 to 12 +1 min 01 s, 1 min 10 s +35 linear/,
  );
  expect(shown).toContain('2 min 00 s to 1 h 01 min of one worker; 2 there now; a rough estimate');
  expect(shown).toMatch(/^in it +4 to 6 evaluations$/m);
  expect(shown).toContain('Not comparable because one seed says nothing.');
});

test('progress counts steps, runs and the loss that the rate was chosen by', () => {
  expect(progressView(experiment).split('\n')[2]).toMatch(
    /^lora +final +█{12}░{4} +75 % +1\/3 +0\.002 +1\.5000 +lr 0\.002 seed 2 at step 20 of 40$/,
  );
  const lines = cellsView(experiment).split('\n');
  expect(lines).toHaveLength(5);
  expect(lines[4]).toMatch(/^lora +final +0\.002 +3 +to start/);
});
