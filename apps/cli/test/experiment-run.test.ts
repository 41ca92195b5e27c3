import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { ExperimentObject } from '@moraine/contract';
import { afterAll, expect, test, vi } from 'vitest';
import { inRepo } from '../src/paths.js';
import { killAllOf, moraine, removeStack, startUp, type TestStack } from './stack.js';
import { writeTinyBase } from './tiny-base.js';

// A whole experiment on a real stack with one worker, killed with SIGKILL on the way: every process of it, at once.
vi.setConfig({ testTimeout: 400_000, hookTimeout: 60_000 });
const dataDir = mkdtempSync(path.join(tmpdir(), 'moraine experiment '));
let stack: TestStack | undefined;
afterAll(() => removeStack(dataDir, stack));
const at = (name: string): string => path.join(dataDir, name);

const FILE = `
name: small
model: tiny
training_file: train.jsonl
evaluation: { validation: valid.jsonl, source: [source.jsonl], every_steps: 4, samples: 0 }
fixed: { max_steps: 8, batch_size: 8, max_seq_len: 64 }
arms:
  - { adapter: { type: lora, rank: 2 }, learning_rates: { type: asha, min: 3.0e-4, max: 3.0e-2, runs: 3, eta: 2, min_steps: 4 } }
  - { adapter: full, learning_rates: [1.0e-3] }
seeds: { search: 1, final: [1] }
`;

/** One run, whose rows have answers that no other row has: what it learns is wrong, so it is best early. */
const OVERFITTED = `
name: overfitted
model: tiny
training_file: wrong.jsonl
evaluation: { validation: valid.jsonl, test: held.jsonl, every_steps: 2, points: ends, samples: 0 }
fixed: { max_steps: 8, batch_size: 8, max_seq_len: 64 }
arms: [{ adapter: full, learning_rates: [3.0e-2] }]
seeds: { final: [1] }
`;

/** Rows from a place of one of the demo's files. */
const rows = (name: string, from: number, count: number): string => {
  const lines = readFileSync(inRepo('examples', 'tasks', name), 'utf8').split('\n');
  return `${lines.slice(from, from + count).join('\n')}\n`;
};

const keysOf = ({ cells }: ExperimentObject): string[] =>
  cells.map(({ arm, phase, learning_rate, seed }) => `${arm} ${phase} ${learning_rate} ${seed}`);

test('an experiment of a file runs to its end, is found again by it, and loses and doubles no run when everything is killed', async () => {
  writeTinyBase(at('base'));
  writeFileSync(at('small.yaml'), FILE);
  writeFileSync(at('train.jsonl'), rows('record-train.jsonl', 0, 64));
  writeFileSync(at('valid.jsonl'), rows('record-validation.jsonl', 0, 8));
  writeFileSync(at('held.jsonl'), rows('record-heldout.jsonl', 0, 8));
  writeFileSync(at('source.jsonl'), rows('source.jsonl', 0, 4));
  stack = await startUp(dataDir, '--bare');
  await stack.cli('models', 'add', 'tiny', at('base'));

  const plan = await stack.cli('experiments', 'run', at('small.yaml'), '--dry-run');
  expect(plan.output).toMatch(/^lora r2 +lora r2 +\S+( +0\.\d+){3} +4 /m);
  expect(plan.output).toMatch(
    /^lora r2: runs that come to step 4: 3; step 8: 1 to 2, about 1(\.\d)?\. The search trains 16 to 20 steps/m,
  );
  expect(plan.output).toContain('full tries one rate');
  expect((await stack.client.call('listExperiments', { query: {} })).data).toEqual([]);

  const first = moraine(['experiments', 'run', at('small.yaml'), '--data', dataDir]);
  const [, id = ''] = await first.says(/(exp_\w+) \(small\): 2 arms, 5 to 5 runs/);
  const { client } = stack;
  const look = () => client.call('getExperiment', { params: { id } });
  // Killed while a run is held at its rung.
  await vi.waitFor(async () => expect((await look()).cells.map(({ status }) => status)).toContain('paused'), {
    timeout: 120_000,
    interval: 200,
  });
  killAllOf(dataDir);
  await first.ended;

  stack = await startUp(dataDir, '--bare');
  const again = await stack.cli('experiments', 'run', at('small.yaml'), '--json');
  const ended = JSON.parse(again.output) as ExperimentObject;
  expect(ended).toMatchObject({ id, status: 'succeeded', reason: null });
  expect(again.status).toBe(0);
  const keys = keysOf(ended);
  expect(new Set(keys).size).toBe(keys.length);
  expect(keys.filter((key) => key.startsWith('full'))).toEqual(['full final 0.001 1']);
  const stopped = ended.cells.filter(({ is_stopped }) => is_stopped);
  expect(stopped.map(({ status, step, rungs }) => [status, step, rungs.length])).toEqual(
    stopped.map(() => ['cancelled', 4, 1]),
  );
  expect([1, 2]).toContain(stopped.length);
  const whole = ended.cells.filter(({ is_stopped }) => !is_stopped);
  expect(whole.every(({ status, score }) => status === 'succeeded' && score !== null)).toBe(true);
  const { data: runs } = await stack.client.call('searchRuns', { query: { experiment: id, limit: 200 } });
  expect(runs.map((run) => run.id).sort()).toEqual(ended.cells.map(({ run_id }) => run_id).sort());

  // The rate that was chosen is the best of those that were tried.
  const [lora] = ended.arms;
  const search = ended.cells.filter(({ arm, phase }) => arm === lora?.name && phase === 'search');
  const best = search.reduce((a, b) => ((b.score ?? 99) < (a.score ?? 99) ? b : a));
  expect(lora?.learning_rate).toBe(best.learning_rate);
  // Held at step 4 and promoted, it repeats to the bit the final run of its rate and seed, which nobody held.
  const alone = ended.cells.find(({ arm, phase, seed }) => arm === lora?.name && phase === 'final' && seed === 1);
  const lossesOf = async (runId: string | null | undefined) => {
    const query = { names: 'train_loss,grad_norm', buckets: 100 } as const;
    const { series } = await client.call('getRunMetrics', { params: { id: runId ?? '' }, query });
    return series.map(({ name, points }) => [name, points.map(({ step, last }) => [step, last])]);
  };
  const losses = await lossesOf(best.run_id);
  expect(losses.map(([, points]) => points?.length)).toEqual([8, 8]);
  expect(losses).toEqual(await lossesOf(alone?.run_id));
  const shown = await stack.cli('experiments', 'show', id);
  expect(shown.output).toContain(`${keys.length} ended of ${keys.length}`);
  // A dot of each path in the plane at the base, at every validation and at the end.
  const { runs: paths, left_out } = await client.call('getExperimentFrontier', { params: { id }, query: {} });
  expect(left_out).toEqual([]);
  expect(paths.map(({ points }) => points.map(({ step }) => step))).toEqual(paths.map(() => [0, 4, 8]));

  // A run that overfits ends with its best checkpoint; test rows are read of it and of the base, and the interval is over them.
  const wrong = rows('record-train.jsonl', 0, 32).replaceAll(/"completion":".*"}/g, '"completion":" qq zz qq zz"}');
  writeFileSync(at('wrong.jsonl'), wrong);
  writeFileSync(at('overfitted.yaml'), OVERFITTED);
  const over = JSON.parse(
    (await stack.cli('experiments', 'run', at('overfitted.yaml'), '--json')).output,
  ) as ExperimentObject;
  expect(over).toMatchObject({ status: 'succeeded', cells: [{ step: 8 }] });
  const runId = over.cells[0]?.run_id ?? '';
  const { data: seen } = await client.call('listRunEvaluations', { params: { id: runId } });
  expect(seen.map(({ name, step }) => `${name} ${step}`).sort()).toEqual([
    'held.jsonl 0',
    'held.jsonl 2',
    'valid.jsonl 0',
    'valid.jsonl 2',
  ]);
  const verdict = await client.call('getExperimentVerdict', { params: { id: over.id }, query: { metric: 'loss' } });
  expect(verdict).toMatchObject({
    decision: 'do_not_use',
    chosen: { run_id: runId, step: 2, lambda: 1 },
    gain: { n: 8, over: 'items' },
  });
  expect(verdict.reason).toMatch(/^worse than the base: loss better by −.* over 8 items of one model\)$/);
  expect(verdict.gain?.mean).toBeCloseTo((verdict.base ?? 0) - (verdict.tuned ?? 0), 4);
  // What follows is estimated by what these runs took.
  const after = await stack.cli('experiments', 'run', at('overfitted.yaml'), '--dry-run');
  expect(after.output).toMatch(/by the pace of [12] runs of this pool$/m);
  // Running the file once more finds it as it is.
  expect((await stack.cli('experiments', 'run', at('small.yaml'))).output).toContain(`${id}: succeeded`);
  expect((await stack.client.call('listFiles', { query: { purpose: 'fine-tune' } })).data).toHaveLength(5);
});
