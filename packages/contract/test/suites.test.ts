import { describe, expect, test } from 'vitest';
import {
  combineSamples,
  type EvaluationFigure,
  EvaluationItem,
  metricOf,
  resolveSampling,
  SUITES,
  type Suite,
  summarise,
} from '../src/suites/index.js';

describe('suites', () => {
  test.each([...SUITES.values()])('$name is known by a figure that means something', ({ metric, title }) => {
    expect(metricOf(metric)?.unit).toMatch(/^(share|bits per byte)$/);
    expect(title).not.toBe('');
  });

  test('a question with four choices is guessed one time in four, an answer in words never', () => {
    expect(SUITES.get('arc_easy')?.chance(4)).toBe(0.25);
    expect(SUITES.get('gsm8k')?.chance(4)).toBeNull();
  });

  test('pass@k is a figure for any k, and a made-up name is none', () => {
    expect(metricOf('pass@10')?.title).toBe('Items solved by one of 10 answers');
    expect(metricOf('pass@')).toBeNull();
    expect(metricOf('glory')).toBeNull();
  });

  test('an item without choices or a verdict is stored as it is', () => {
    const item = { index: 0, id: '1', prompt: '', answer: null, expected: 'b', metrics: { nats: 1.5 }, verdict: null };
    expect(EvaluationItem.parse(item)).toEqual(item);
  });
});

describe('samples', () => {
  const suite = (name: string) => SUITES.get(name) as Suite;
  const asked = { samples: 10, temperature: 0.8, top_p: 1, seed: 0 };

  test('give pass@1 and pass@n unless others are named, each once', () => {
    expect(resolveSampling(asked, suite('humaneval'))?.ks).toEqual([1, 10]);
    expect(resolveSampling({ ...asked, ks: [5, 2, 5] }, suite('gsm8k'))?.ks).toEqual([2, 5]);
    expect(resolveSampling({ ...asked, samples: 1 }, suite('answers'))?.ks).toEqual([1]);
    expect(resolveSampling(null, suite('arc_easy'))).toBeNull();
  });

  test.each([
    ['humaneval', { ...asked, ks: [1, 20] }, 'evaluation.suites[0].sampling.ks', /^pass@20 of 10 samples/],
    ['arc_easy', asked, 'evaluation.suites[0].sampling', /^Items of the suite 'arc_easy' are scored/],
    ['file', asked, 'evaluation.suites[0].sampling', /^Items of the suite 'file' are scored/],
  ])('of %s with %j are refused by name', (name, sampling, param, message) => {
    expect(() => resolveSampling(sampling, suite(name), 'evaluation.suites[0].')).toThrow(
      expect.objectContaining({ code: 'invalid_value', param, message: expect.stringMatching(message) }),
    );
  });

  const sample = (answer: string, isRight: boolean): EvaluationItem => ({
    index: 3,
    id: '4',
    prompt: 'Q',
    answer,
    expected: '7',
    metrics: { exact_match: isRight ? 1 : 0 },
    verdict: isRight ? 'right' : 'wrong',
  });

  test('of an item are one item with their mean, pass@k, how many differ, and each answer', () => {
    const judged = [sample('6', false), sample(' 7', true), sample('7', true), sample('8', false), sample('6', false)];
    // pass@3 of 5 with 2 right: 1 − C(3, 3) / C(5, 3) = 9/10; 6, 7 and 8 differ.
    const item = combineSamples(judged, [1, 3]);
    expect(item).toMatchObject({ index: 3, answer: ' 7', verdict: 'right' });
    expect(item.metrics).toEqual({
      exact_match: 0.4,
      'pass@1': 0.4,
      'pass@3': expect.closeTo(0.9, 12),
      unique_answers: 3,
    });
    expect(item.samples?.map(({ answer, verdict }) => [answer, verdict])).toEqual([
      ['6', 'wrong'],
      [' 7', 'right'],
      ['7', 'right'],
      ['8', 'wrong'],
      ['6', 'wrong'],
    ]);
    expect(combineSamples([sample('1', false)], [1])).toMatchObject({ answer: '1', verdict: 'wrong' });
  });

  test('of items have means with t-intervals over items, cut to what a share can be', () => {
    const metrics = [0, 0.5, 1, 1].map((pass, i) => ({
      exact_match: pass,
      unique_answers: i + 1,
      'pass@2': i > 0 ? 1 : 0,
    }));
    const figures = summarise(
      'answers',
      metrics.map((one) => ({ metrics: one })),
    ).metrics;
    // scipy 1.17: t.interval(0.95, 3, loc=mean, scale=sem) of [0, .5, 1, 1] is [-0.1367, 1.3867], of [1, 2, 3, 4] [0.4457, 4.5543].
    expect(figures.exact_match).toMatchObject({ value: 0.625, interval: [0, 1], chance: null });
    expect(figures.unique_answers?.value).toBe(2.5);
    expect(figures.unique_answers?.interval?.[0]).toBeCloseTo(0.4457, 4);
    expect(figures.unique_answers?.interval?.[1]).toBeCloseTo(4.5543, 4);
    // 0 and 1 alone: Wilson's, 3 of 4.
    expect(figures['pass@2']?.interval?.[0]).toBeCloseTo(0.3006, 4);
  });
});

describe('a summary', () => {
  const item = (patch: Partial<EvaluationItem>): EvaluationItem => ({
    index: 0,
    id: '1',
    prompt: '',
    answer: null,
    expected: null,
    metrics: {},
    verdict: null,
    ...patch,
  });

  test('of choices has shares with Wilson’s interval, and says where guessing does as well', () => {
    const scored = (right: number, n: number) =>
      summarise(
        'arc_easy',
        Array.from({ length: n }, (_, i) =>
          item({ choices: ['a', 'b', 'c', 'd'], metrics: { acc_norm: i < right ? 1 : 0 } }),
        ),
      ).metrics.acc_norm;
    const half = scored(50, 100);
    expect(half).toMatchObject({ value: 0.5, chance: 0.25, at_chance: false });
    // statsmodels 0.14: proportion_confint(50, 100, method='wilson')
    expect(half?.interval?.[0]).toBeCloseTo(0.403_831_5, 6);
    expect(half?.interval?.[1]).toBeCloseTo(0.596_168_5, 6);
    expect(scored(30, 100)).toMatchObject({ at_chance: true });
    expect(scored(0, 10)?.interval?.[0]).toBe(0);
    expect(scored(10, 10)?.interval?.[1]).toBe(1);
  });

  test('takes chance from the items’ own numbers of choices', () => {
    const items = [
      ['a', 'b'],
      ['a', 'b', 'c', 'd'],
    ].map((choices) => item({ choices, metrics: { acc: 1 } }));
    expect(summarise('choices', items).metrics.acc?.chance).toBe(0.375);
  });

  test('of nothing is left out, in place of one that is no number', () => {
    const sums = { nats: 3, tokens: 1, correct: 0, text_nats: 0, bytes: 0 };
    expect(Object.keys(summarise('file', [item({ metrics: sums })]).metrics)).toEqual([
      'nats_per_token',
      'token_accuracy',
    ]);
    expect(summarise('file', [item({ metrics: { ...sums, tokens: 0 } })]).metrics).toEqual({});
  });

  test('of rows divides sums by sums, whatever the rows’ lengths', () => {
    const rows = [
      { nats: 2, tokens: 2, correct: 1, text_nats: 2 * Math.LN2, bytes: 1 },
      { nats: 1, tokens: 8, correct: 8, text_nats: 2 * Math.LN2, bytes: 7 },
    ];
    const { metrics, metric, n } = summarise(
      'file',
      rows.map((metrics) => item({ metrics })),
    );
    expect([metric, n]).toEqual(['bits_per_byte', 2]);
    expect(metrics.nats_per_token?.value).toBeCloseTo(0.3, 12);
    expect(metrics.bits_per_byte).toMatchObject({ value: 0.5, interval: null, chance: null });
    expect(metrics.token_accuracy?.value).toBe(0.9);
  });

  test('of many rows has an interval that a hundred times as many rows make a tenth as wide', () => {
    const width = (n: number) => {
      const metrics = (i: number) => ({ nats: 1 + (i % 2), tokens: 1 });
      const { interval } = summarise(
        'file',
        Array.from({ length: n }, (_, i) => item({ metrics: metrics(i) })),
      ).metrics.nats_per_token as EvaluationFigure;
      return (interval?.[1] ?? 0) - (interval?.[0] ?? 0);
    };
    // 1.96 standard errors of the mean of ones and twos, on both sides
    expect(width(40)).toBeCloseTo((2 * 1.959964 * 0.5 * Math.sqrt(40 / 39)) / Math.sqrt(40), 5);
    expect(width(4000)).toBeCloseTo(width(40) / 10, 2);
  });

  test('of no items has none of its figures', () => {
    expect(summarise('arc_easy', [])).toEqual({ suite: 'arc_easy', n: 0, metric: 'acc_norm', metrics: {} });
  });
});
