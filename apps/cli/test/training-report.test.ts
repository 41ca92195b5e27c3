import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { type AttemptEvent, plainCheck, type RunConfig } from '@moraine/contract';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { reportTraining, type TrainingReport } from '../src/local/training-report.js';
import { type Screen, watchScreen } from './screen.js';

let out: string;
let screen: Screen;
let stored: [number, Record<string, number>][];
beforeEach(() => {
  out = mkdtempSync(path.join(tmpdir(), 'moraine report '));
  stored = [];
  screen = watchScreen(null);
});
afterEach(() => {
  screen.close();
  rmSync(out, { recursive: true, force: true });
});

// Only what the report reads.
const adapter = { type: 'none' };
const config = {
  adapter,
  steps: 20,
  batch_size: 4,
  seed: 7,
  optimizer: { learning_rate: 0.01 },
  checkpoint: { keep_last: 1 },
};
const report = (isQuiet: boolean): TrainingReport =>
  reportTraining(config as RunConfig, isQuiet, out, (step, values) => stored.push([step, values]));
const event = (one: unknown): AttemptEvent => one as AttemptEvent;
const ready = (startStep: number) =>
  event({
    type: 'ready',
    config,
    rows: 80,
    startStep,
    trainableParameters: 1234,
    totalParameters: 10_000,
    device: { name: 'a CPU' },
  });
const metrics = (step: number, more: Record<string, number> = {}) =>
  event({
    type: 'metrics',
    step,
    values: { train_loss: 2 - step / 20, learning_rate: 0.01, tokens_per_second: 99.6, step_ms: 1000, ...more },
  });
const message = event({ type: 'message', level: 'info', message: 'Something to know.' });
const evaluation = event({
  type: 'evaluation',
  result: { name: 'held-out', step: 20, loss: 1.5, tokenAccuracy: 0.625 },
});
const finished = () => {
  const dir = path.join(out, 'exports', 'adapter');
  mkdirSync(dir, { recursive: true });
  writeFileSync(path.join(dir, 'weights'), 'w');
  return event({
    type: 'finished',
    step: 20,
    resultStep: 20,
    stoppedEarly: null,
    trainedTokens: 12_345,
    resultFile: 'step,loss\n',
    exports: [{ kind: 'adapter', dir, sizeBytes: 1, report: exportReport }],
  });
};
const exportReport = {
  parity: { prompts: 4, tokens: 128, max_logit_difference: 0.0000021, max_logit: 19.44, top1_agreement: 1 },
  rounding: { dtype: 'BF16', share: 0.0312, worst: 0.05, worst_weight: null },
  notes: ['vLLM needs to know.'],
  problem: null,
};
const lines = (): string[] => screen.text().trimEnd().split('\n');

test('a run is told in lines: what it trains, every tenth of its steps, what was measured, what it made', () => {
  const { hear, finish } = report(false);
  hear(ready(0));
  for (let step = 1; step <= 20; step++) hear(metrics(step, step === 20 ? { valid_loss: 1.25 } : {}));
  hear(message);
  hear(evaluation);
  hear(finished());
  expect(finish()).toBe(0);
  const shown = lines();
  expect(shown[0]).toBe('80 rows, 20 steps of 4; 1,234 numbers are trained (12.34 %) on a CPU.');
  expect(shown[1]).toBe('Trains every weight.');
  expect(shown.filter((line) => line.startsWith('step '))).toHaveLength(11);
  expect(shown).toContain('step 2/20  loss 1.9000  rate 1.00e-2  100 tokens/s  18 s left');
  expect(shown).toContain('step 20/20  loss 1.0000  valid 1.2500  rate 1.00e-2  100 tokens/s  0 s left');
  expect(shown.slice(-7)).toEqual([
    'Something to know.',
    'held-out at step 20: loss 1.5000, token accuracy 62.5 %',
    'Trained 20 steps, 12,345 tokens, in 0 s.',
    `adapter  ${path.join(out, 'adapter')}`,
    'adapter  read back: logits differ by at most 0.0000021 of 19.4, 100 % of 128 best tokens agree',
    'adapter  rounded to BF16: 3.12 % of the change is lost',
    'adapter  vLLM needs to know.',
  ]);
  expect(stored.map(([step]) => step)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
  expect(readFileSync(path.join(out, 'result.csv'), 'utf8')).toBe('step,loss\n');
  expect(readdirSync(out).sort()).toEqual(['adapter', 'result.csv']);
});

test('a quiet run prints one line of JSON with the last measurements and nothing else', () => {
  const { hear, finish } = report(true);
  for (const one of [ready(6), metrics(19), metrics(20), message, evaluation, finished()]) hear(one);
  expect(finish()).toBe(0);
  expect(lines()).toHaveLength(1);
  expect(JSON.parse(screen.text())).toMatchObject({
    start_step: 6,
    steps: 20,
    seed: 7,
    learning_rate: 0.01,
    trained_tokens: 12_345,
    trainable_parameters: 1234,
    train_loss: 1,
    evaluations: [{ name: 'held-out', loss: 1.5 }],
    device: { name: 'a CPU' },
    adapter: path.join(out, 'adapter'),
    exports: { adapter: exportReport },
  });
  expect(stored).toHaveLength(2);
});

test('a run that goes on says after which step', () => {
  report(false).hear(ready(6));
  expect(screen.text()).toMatch(/ It goes on after step 6\.\nTrains /);
});

test('a run that was stopped says how it goes on, ends with 130 and makes no export', () => {
  const { hear, finish } = report(false);
  hear(event({ type: 'stopped', step: 5 }));
  expect(finish()).toBe(130);
  expect(lines()).toEqual([`Stopped after step 5 of 20. \`moraine local train --resume --out ${out}\` goes on.`]);
  expect(existsSync(path.join(out, 'result.csv'))).toBe(false);
});

test('each new checkpoint removes those beyond the ones to keep', () => {
  const { hear } = report(true);
  for (const name of ['step-00000002', 'step-00000004'])
    mkdirSync(path.join(out, 'checkpoints', name), { recursive: true });
  hear(event({ type: 'checkpoint', step: 4 }));
  expect(readdirSync(path.join(out, 'checkpoints'))).toEqual(['step-00000004']);
});

test('what came of checking the resume is said, and is in the JSON', () => {
  const check = plainCheck('equal', 'Resumed from step 18.');
  const told = report(false);
  told.hear(event({ type: 'verified', check }));
  expect(lines()).toContain('Resumed from step 18.');
  const quiet = report(true);
  quiet.hear(event({ type: 'verified', check }));
  quiet.hear(finished());
  expect(quiet.finish()).toBe(0);
  expect(JSON.parse(lines().at(-1) ?? '')).toMatchObject({ resume_check: { status: 'equal' } });
});

test('a failure is an error with its reason, and so is an end without a word', () => {
  const { hear, finish } = report(false);
  expect(() => hear(event({ type: 'failed', message: 'The loss is not a number.' }))).toThrow(
    'The loss is not a number.',
  );
  expect(finish).toThrow('The run ended without saying how.');
});
