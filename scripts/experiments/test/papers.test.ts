import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ExperimentRequest, type ExperimentTable, planExperiment } from '@moraine/contract/experiments';
import { parseModelConfig } from '@moraine/contract/plan';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { BASE_CONFIG } from '../../corpus/base-recipe.js';
import {
  claimsOf,
  diversityCsv,
  diversityOf,
  diversitySvg,
  diversityText,
  type SampledModel,
} from '../papers/diversity.js';
import { diversityRows, RIGHT_ANSWERS } from '../papers/diversity-rows.js';
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

// By hand: (e + e²)/2 = 5.0537; of e, e, e^1.1 mean 2.8136, half = 4.303 · 0.1651 / √3 = 0.4100. Equal seeds have no interval.
test('perplexity is the exponential of the loss of each seed, then the mean', () => {
  const row = (arm: string, losses: (number | null)[]) => ({ arm, runs: losses.map((learned) => ({ learned })) });
  const table = {
    metric: 'loss',
    rows: [row('a', [1, 2]), row('b', [1, 1, 1, null]), row('d', [1, 1, 1.1]), row('c', [null])],
  };
  const lines = perplexityTable(table as ExperimentTable)
    ?.split('\n')
    .slice(-4);
  expect(lines).toEqual(['| a | 5.054 | 2 |', '| b | 2.718 | 3 |', '| d | 2.814 ± 0.4100 | 3 |', '| c | – | 0 |']);
  expect(perplexityTable({ ...table, metric: 'exact_match' } as ExperimentTable)).toBeNull();
});

test('rows with many right answers: each that is learned is one, no prompt is judged that was learned, and a detail said twice is wrong', () => {
  const { train, validation, test: judged, asked } = diversityRows({ train: 200, validation: 20, test: 20 });
  const learned = new Set([...train, ...validation].map(({ prompt }) => prompt));
  expect(learned.size).toBe(220);
  expect(judged.map(({ prompt }) => prompt)).toEqual(asked.map(({ prompt }) => prompt));
  expect(judged.filter(({ prompt }) => learned.has(prompt))).toEqual([]);
  for (const [i, { pattern }] of asked.entries()) {
    expect(new Set(pattern.slice(4, -2).split('|')).size).toBe(RIGHT_ANSWERS);
    expect(judged[i]?.completion).toMatch(new RegExp(pattern));
  }
  const [first] = asked;
  const { act } = JSON.parse(judged.find(({ completion }) => completion.includes('"act"'))?.completion ?? '{}');
  expect(`{"act":"${act}","act":"${act}","act":"${act}"}`).not.toMatch(new RegExp(first?.pattern ?? ''));
});

describe('what samples tell', () => {
  /** Two prompts with four samples each; `right` and `wrong` are answers. */
  const sampled = (arm: string, seed: number | null, ...items: string[][]): SampledModel => ({
    arm,
    seed,
    model: `${arm}-${seed}`,
    items: items.map((answers) => ({
      samples: answers.map((answer) => ({ answer, verdict: answer.startsWith('r') ? 'right' : 'wrong' })),
    })),
  });
  const of = (...given: Parameters<typeof sampled>) => diversityOf(sampled(...given), [1, 2, 4]);

  test('of a model is pass@k of all samples, and how many of the first k differ', () => {
    // One of four right: pass@2 = 1 − C(3,2)/C(4,2) = 1/2; three of four: 1.
    const { at, samples, items } = of('LoRA', 2, ['w1', 'w1', 'r1', 'w2 '], ['r1', 'r1', 'r2', 'w1']);
    expect([items, samples]).toEqual([2, 4]);
    expect(at).toEqual([
      { k: 1, pass: expect.closeTo(0.5, 12), unique: 1, right: 0.5, wrong: 0.5 },
      { k: 2, pass: expect.closeTo(0.75, 12), unique: 1, right: 0.5, wrong: 0.5 },
      { k: 4, pass: 1, unique: 3, right: 1.5, wrong: 1.5 },
    ]);
  });

  test('of arms is set beside each other by seed, and each claim is held, not held or not told', () => {
    const many = ['r1', 'r2', 'r3', 'w1'];
    const few = ['r1', 'r1', 'r1', 'r1'];
    const fewer = ['r1', 'r1', 'r1', 'w1'];
    const models = [
      of('base', null, ['w1', 'w2', 'w3', 'w4'], ['w1', 'w2', 'w3', 'w4']),
      ...[2, 3, 4].map((seed) => of('LoRA', seed, many, seed === 4 ? ['r1', 'r1', 'r2', 'w1'] : many)),
      ...[2, 3, 4].map((seed) => of('full', seed, few, seed === 3 ? fewer : few)),
    ];
    expect(claimsOf(models, 4).map(({ verdict }) => verdict)).toEqual(['Held.', 'Did not hold.', 'Held.', 'Held.']);
    const text = diversityText(models, 'at temperature 0.8');
    // Of LoRA 4, 4 and 3.5 different ones: mean 3.83, half = 4.303 · 0.2887 / √3; of full 1, 1.5 and 1. Three equal seeds have no interval.
    expect(text).toContain('| LoRA | 75.0 % | 100.0 % | 100.0 % | 3.83 ± 0.72 | 2.83 ± 0.72 |');
    expect(text).toContain('| LoRA − full | different answers | 2.67 ± 0.72 | 0.0039 |');
    expect(diversityCsv(models).split('\n')).toHaveLength(2 + 7 * 3);
    expect(diversitySvg(models)).toContain('Different answers among k samples');
    const single = models.filter(({ seed }) => seed === null || seed === 2);
    expect(claimsOf(single, 4)[0]?.verdict).toBe('Not told: an interval needs three seeds that are not all equal.');
  });
});
