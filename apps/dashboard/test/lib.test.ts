import { describe, expect, it } from 'vitest';
import { age, bytes, digits, duration, percent, shortest, si } from '../src/lib/format.js';
import { matches, readFilter, runName, toQuery } from '../src/lib/run-filter.js';
import { groupEvaluations } from '../src/run/evaluation-groups.js';
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
  const run = makeRun(1, { method: 1, suffix: 'Rotation-A' });

  it('splits into what the server filters by and what the page looks for', () => {
    const filter = readFilter(new URLSearchParams('status=failed&q=team%3Dblue%20method:MoRA%20word'));
    expect(filter).toMatchObject({ status: 'failed', metadata: { team: 'blue' }, terms: ['method:mora', 'word'] });
    expect(toQuery(filter)).toEqual({ status: 'failed', 'metadata[team]': 'blue' });
    expect(readFilter(new URLSearchParams('status=nonsense')).status).toBeNull();
  });

  it('finds by name, field and metadata, whatever the case', () => {
    expect(matches(run, ['rotation'])).toBe(true);
    expect(matches(run, ['method:mora', 'base:tiny', 'blue'])).toBe(true);
    expect(matches(run, ['method:lora'])).toBe(false);
    expect(matches(run, ['http://x'])).toBe(false);
  });

  it('a run without a suffix is called by its id', () => {
    expect(runName(makeRun(2, { suffix: null }))).toMatch(/^ftjob-/);
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

  it('evaluations of a file go from its first step to its last', () => {
    const [group] = groupEvaluations([
      makeEvaluation('r', 2, 150, 'held-out', 0.1, 0.95),
      makeEvaluation('r', 1, 0, 'held-out', 3, 0),
    ]);
    expect([group?.first.step, group?.last.step]).toEqual([0, 150]);
  });
});
