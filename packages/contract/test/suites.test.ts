import { describe, expect, test } from 'vitest';
import { EvaluationItem, metricOf, SUITES } from '../src/suites/index.js';

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
