import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { disagreements } from '../agreement.js';
import { writeInstructions } from '../instructions.js';
import { MEASURES, measureRounds } from '../measures.js';
import { plot } from '../plot.js';
import { markdown, type Report } from '../report.js';

const measureOf = (key: string) => MEASURES.find((measure) => measure.key === key) ?? MEASURES[0];
const speeds = (ours: number[], theirs: number[], figure = 'tokens_per_second') =>
  ours.map((value, i) => ({ Moraine: { [figure]: value }, PEFT: { [figure]: theirs[i] } }));

/** Measures a key that must exist. */
function measured(key: string, rounds: Parameters<typeof measureRounds>[1]) {
  const measure = measureOf(key);
  if (measure === undefined) throw new Error('there are no measures');
  return measureRounds(measure, rounds);
}

test('a measure is judged by the median of its pairs, not by one lucky run', () => {
  const rounds = speeds([130, 120, 400], [100, 100, 100]);
  expect(measured('dense15', rounds)).toMatchObject({ ratioMedian: 1.3, ratioOfBest: 4, isMet: true });
  expect(measured('dense15', speeds([120, 120, 400], [100, 100, 100])).isMet).toBe(false);
});

test('of memory less is better, and the first step has a limit of its own', () => {
  expect(measured('memory135', speeds([59, 61, 58], [100, 100, 100], 'peak_rss_mb')).isMet).toBe(true);
  expect(measured('memory135', speeds([61], [100], 'peak_rss_mb')).isMet).toBe(false);
  expect(measured('first135', speeds([9000], [30_000], 'first_step_ms')).isMet).toBe(false);
  expect(measured('first135', speeds([7000], [5000], 'first_step_ms')).isMet).toBe(true);
});

test('sides that did not compute the same are reported', () => {
  const side = (first: number, last: number) => ({ loss_first: first, loss_last10: last });
  expect(disagreements('dense15', { Moraine: side(10.4401, 10.3), PEFT: side(10.44011, 10.31) })).toEqual([]);
  expect(disagreements('dense15', { Moraine: side(10.45, 10.3), PEFT: side(10.44, 10.3) })).toHaveLength(1);
  expect(disagreements('dense15', { Moraine: side(10.44, 8), PEFT: side(10.44, 10.3) })).toHaveLength(1);
  const tokens = (...decode_tokens: number[]) => ({ decode_tokens });
  expect(disagreements('decode15', { Moraine: tokens(1, 2), transformers: tokens(1, 2) })).toEqual([]);
  expect(disagreements('decode15', { Moraine: tokens(1, 2), transformers: tokens(1, 3) })[0]).toContain('token 2');
});

test('the report names every measure with what it must reach, and draws it', () => {
  const rounds = speeds([130], [100]);
  const measures = [measured('dense15', rounds)];
  const jobs = [
    { key: 'dense15', commands: { Moraine: 'a', PEFT: 'b' }, rounds, load: [0.5], disagreements: ['they differ'] },
  ];
  const environment = { processor: 'Some <CPU>', cores: 2, memory_gb: 8, system: 'linux', node: '20' };
  const report: Report = {
    date: '2026-01-01',
    machine: 'some',
    environment,
    pairs: 1,
    rowsFrom: 'x',
    command: 'y',
    measures,
    jobs,
  };
  const text = markdown(report, 'plot.svg');
  expect(text).toContain('| dense step, 15M, 4 x 256 | 130 (130) tokens/s | PEFT: 100 (100) tokens/s | **1.30x**');
  expect(text).toContain('≥ 1.25x');
  expect(text).toContain('**they differ**');
  const drawing = plot(measures, 'Some <CPU>');
  expect(drawing).toContain('1.30×');
  expect(drawing).toContain('Some &lt;CPU>');
});

test('generated instruction rows are the same every time, of many lengths, with answers and prompts', () => {
  const dir = mkdtempSync(join(tmpdir(), 'moraine-rows-'));
  const write = (name: string): string => {
    writeInstructions(join(dir, name), (text) => Math.ceil(text.length / 4));
    return readFileSync(join(dir, name), 'utf8');
  };
  const text = write('a.jsonl');
  expect(write('b.jsonl')).toBe(text);
  rmSync(dir, { recursive: true });
  const rows = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { prompt: string; completion: string });
  expect(rows).toHaveLength(1600);
  const tokens = rows.map(({ completion }) => Math.ceil(completion.length / 4)).sort((a, b) => a - b);
  expect(tokens[800]).toBeGreaterThan(30);
  expect(tokens[800]).toBeLessThan(80);
  expect(tokens[1520]).toBeGreaterThan(3 * (tokens[800] ?? 0));
});
