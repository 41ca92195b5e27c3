import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ExperimentRequest, type ExperimentTable, planExperiment } from '@moraine/contract/experiments';
import { parseModelConfig } from '@moraine/contract/plan';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { BASE_CONFIG } from '../../corpus/base-recipe.js';
import { perplexityTable } from '../papers/perplexity.js';
import { pretrainRows } from '../papers/pretrain-rows.js';
import { type Experiment, shorten } from '../papers/shorten.js';

const root = resolve(import.meta.dirname, '../../..');
const configs = join(root, 'configs/experiments');
const base = parseModelConfig(BASE_CONFIG);

const planOf = (experiment: unknown) =>
  planExperiment({
    spec: ExperimentRequest.parse(experiment),
    base,
    rowsOf: () => 3000,
    templateDate: '2026-11-29',
  });

test.each(readdirSync(configs))('%s is a plan that the service takes, whole and shortened', (file) => {
  const experiment = parse(readFileSync(join(configs, file), 'utf8')) as Experiment;
  expect(planOf(experiment).arms).toHaveLength(experiment.arms.length);
  const short = shorten(experiment, configs);
  const plan = planOf(short);
  expect(plan.runs).toEqual({ least: experiment.arms.length, most: experiment.arms.length });
  expect(plan.arms.every(({ config }) => config.steps === 6)).toBe(true);
  expect(short.training_file).toMatch(/^\//);
  expect(plan.arms.map(({ name }) => name)).toEqual(planOf(experiment).arms.map(({ name }) => name));
});

test('the ways to hold full fine-tuning back are in the runs of their arms alone', () => {
  const { arms } = planOf(parse(readFileSync(join(configs, 'regular.yaml'), 'utf8')));
  const set = arms.map(({ name, config }) => [name, config.optimizer.weight_decay, config.attention_dropout ?? 0]);
  expect(set).toEqual([
    ['full', 0, 0],
    ['full decay 0.1', 0.1, 0],
    ['full decay 1', 1, 0],
    ['full dropout 0.05', 0, 0.05],
    ['full dropout 0.2', 0, 0.2],
    ['lora r4', 0, 0],
    ['lora r16', 0, 0],
  ]);
});

test('adapters from nothing train as much as each other, and two of them start again', () => {
  const { arms, warnings } = planOf(parse(readFileSync(join(configs, 'pretrain.yaml'), 'utf8')));
  expect(arms.map(({ config: { adapter } }) => 'restart' in adapter && adapter.restart !== undefined)).toEqual([
    ...[false, false, true, false, true],
  ]);
  expect(warnings).toEqual([]);
});

test('no row of the pre-training that chooses or judges was trained on, or does both', () => {
  const { train, validation, test: judged } = pretrainRows();
  expect(train).toHaveLength(9_600);
  expect(validation.length).toBeGreaterThan(150);
  expect(judged.length).toBeGreaterThan(300);
  const texts = [new Set(train.map(({ text }) => text)), new Set(validation.map(({ text }) => text))];
  expect([...validation, ...judged].filter(({ text }) => texts[0]?.has(text))).toEqual([]);
  expect(judged.filter(({ text }) => texts[1]?.has(text))).toEqual([]);
});

// exp(1) and exp(2) by hand: mean 5.0537.
test('perplexity is the exponential of the loss of each seed, then the mean', () => {
  const row = (arm: string, losses: (number | null)[]) => ({ arm, runs: losses.map((learned) => ({ learned })) });
  const table = { metric: 'loss', rows: [row('a', [1, 2]), row('b', [1, 1, 1, null]), row('c', [null])] };
  const lines = perplexityTable(table as ExperimentTable)
    ?.split('\n')
    .slice(-3);
  expect(lines).toEqual(['| a | 5.054 | 2 |', '| b | 2.718 ± 0.000 | 3 |', '| c | – | 0 |']);
  expect(perplexityTable({ ...table, metric: 'exact_match' } as ExperimentTable)).toBeNull();
});
