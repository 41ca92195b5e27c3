import { describe, expect, test } from 'vitest';
import { type EvaluationFigure, EvaluationItem, metricOf, SUITES, summarise } from '../src/suites/index.js';

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
    expect(metricOf('pass@10')?.title).toBe('Tasks solved by one of 10 programs');
    expect(metricOf('pass@')).toBeNull();
    expect(metricOf('glory')).toBeNull();
  });

  test('an item without choices or a verdict is stored as it is', () => {
    const item = { index: 0, id: '1', prompt: '', answer: null, expected: 'b', metrics: { nats: 1.5 }, verdict: null };
    expect(EvaluationItem.parse(item)).toEqual(item);
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
