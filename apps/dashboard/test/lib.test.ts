import type { EvaluationItem } from '@moraine/contract/suites';
import { describe, expect, it } from 'vitest';
import { type Pages, withItems } from '../src/evaluation/added-items.js';
import { age, bytes, digits, duration, durationRange, percent, shortest, si, signed } from '../src/lib/format.js';
import { readFilter, runName, toQuery } from '../src/lib/run-filter.js';
import { changeOf, groupEvaluations } from '../src/run/evaluation-groups.js';
import { groupModules } from '../src/run/modules.js';
import { makeEvaluation, makeRun } from './support/scenario.js';

describe('numbers', () => {
  it('have three or four digits that mean something', () => {
    expect([0.51283, 12.345, 1234.5, 0, 3e-4, 1.25e-5, 2_500_000, null, Number.NaN].map((x) => digits(x))).toEqual([
      '0.513',
      '12.3',
      '1,235',
      '0',
      '3e-4',
      '1.25e-5',
      '2.5e6',
      '–',
      '–',
    ]);
    expect(digits(-0.0004)).toBe('-4e-4');
    expect([0.002, 3e-4, 0.0015, 1].map(shortest)).toEqual(['0.002', '3e-4', '0.0015', '1']);
  });

  it('have their unit apart', () => {
    expect(si(987)).toEqual({ value: '987', unit: '' });
    expect(si(57_344)).toEqual({ value: '57.3', unit: 'k' });
    expect(si(2951.4, 'tokens/s')).toEqual({ value: '2.95', unit: 'k tokens/s' });
    expect(si(999_999).unit).toBe('k');
    expect(bytes(5_210_000)).toEqual({ value: '5.21', unit: 'MB' });
    expect(bytes(812)).toEqual({ value: '812', unit: 'B' });
    expect(percent(0.974)).toBe('97 %');
  });

  it('durations and ages have two units at most', () => {
    expect([0.4, 48, 134, 11_100, 187_000].map(duration)).toEqual(['0 s', '48 s', '2 m 14 s', '3 h 05 m', '2 d 3 h']);
    expect(duration(null)).toBe('–');
    expect(
      [
        [40.2, 55.4],
        [722, 883],
        [5400, 7300],
        [59, 61],
        [86_400 * 1.9, 86_400 * 2.31],
        [0.2, 0.4],
      ].map(([low = 0, high = 0]) => durationRange([low, high])),
    ).toEqual(['40–55 s', '12–15 m', '1.5–2 h', '60 s', '1.9–2.3 d', '0 s']);
    expect(durationRange(null)).toBe('–');
    expect([0.2, 12.9, 250, 11_000, 180_000].map((s) => age(1000, 1000 + s))).toEqual([
      'now',
      '12 s',
      '4 m',
      '3 h',
      '2 d',
    ]);
  });
});

describe('the filter of the runs', () => {
  it('is the query of the server, with what the address does not say well left out', () => {
    const filter = readFilter(new URLSearchParams('status=failed&q=team%3Dblue%20%20method:MoRA&sort=-loss'));
    expect(toQuery(filter)).toEqual({ status: 'failed', q: 'team=blue  method:MoRA', sort: '-loss' });
    expect(toQuery(readFilter(new URLSearchParams('status=nonsense&q=%20&sort=colour')))).toEqual({ sort: '-created' });
  });

  it('a run is called by its suffix, the name in its metadata, or its id', () => {
    expect(runName(makeRun(2, { suffix: 'Übung' }))).toBe('Übung');
    expect(runName(makeRun(2, { suffix: null }))).toMatch(/^ftjob-/);
    expect(runName({ ...makeRun(2, { suffix: null }), metadata: { name: 'a name' } })).toBe('a name');
  });
});

describe('groups', () => {
  it('modules are named once, with the layers they are in', () => {
    expect(
      groupModules([
        'model.layers.0.self_attn.q_proj',
        'model.layers.1.self_attn.q_proj',
        'model.layers.3.self_attn.q_proj',
        'lm_head',
      ]),
    ).toEqual([
      { name: 'self_attn.q_proj', layers: '0–1, 3', count: 3 },
      { name: 'lm_head', layers: '', count: 1 },
    ]);
  });

  it('a change has a sign, and a direction that follows from what is better', () => {
    expect(changeOf(3, 1, 'lower')).toMatchObject({ delta: -2, direction: 'better' });
    expect(changeOf(1, 3, 'lower')).toMatchObject({ delta: 2, direction: 'worse' });
    expect(changeOf(0.1, 0.4, 'higher')).toMatchObject({ direction: 'better' });
    expect(changeOf(1, 1.004, 'lower')).toMatchObject({ direction: 'same' });
    expect(changeOf(null, 1, 'lower')).toBeNull();
    expect([0.42, -3.131, 0].map(signed)).toEqual(['+0.420', '−3.13', '0']);
  });

  it('evaluations of a file go from its first step to its last, or to that of the result', () => {
    const all = [
      makeEvaluation('r', 2, 150, 'held-out', 0.1, 0.95),
      makeEvaluation('r', 1, 0, 'held-out', 3, 0),
      makeEvaluation('r', 3, 100, 'held-out', 0.05, 0.97),
    ];
    const endsOf = (step: number | null) =>
      groupEvaluations(all, step).map(({ first, last }) => [first.step, last.step]);
    expect([null, 100, 120].map(endsOf)).toEqual([[[0, 150]], [[0, 100]], [[0, 150]]]);
  });
});

describe('items that were scored since', () => {
  const items = (from: number, end: number): EvaluationItem[] =>
    Array.from({ length: end - from }, (_, i) => {
      const index = from + i;
      return { index, id: String(index), prompt: '', answer: null, expected: null, metrics: {}, verdict: null };
    });
  const pagesOf = (...counts: [from: number, end: number, hasMore: boolean][]): Pages => ({
    pages: counts.map(([from, end, hasMore]) => ({ object: 'list', data: items(from, end), has_more: hasMore })),
    pageParams: [],
  });
  const shown = (pages: Pages | null) => pages?.pages.map(({ data, has_more: hasMore }) => [data.length, hasMore]);

  it('fill the last page, and what does not fit is a next one', () => {
    expect(shown(withItems(pagesOf([0, 0, false]), items(0, 3)))).toEqual([[3, false]]);
    expect(shown(withItems(pagesOf([0, 50, true], [50, 60, false]), items(60, 64)))).toEqual([
      [50, true],
      [14, false],
    ]);
    expect(shown(withItems(pagesOf([0, 40, false]), items(40, 55)))).toEqual([[50, true]]);
  });

  it('change nothing where the page has them or more is to be read, and are read again where some are missing', () => {
    const pages = pagesOf([0, 4, false]);
    expect(withItems(pages, items(1, 4))).toBe(pages);
    expect(shown(withItems(pages, items(2, 6)))).toEqual([[6, false]]);
    expect(withItems(pages, items(5, 6))).toBeNull();
    const more = pagesOf([0, 50, true]);
    expect(withItems(more, items(70, 80))).toBe(more);
  });
});
