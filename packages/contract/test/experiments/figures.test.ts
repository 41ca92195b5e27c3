// Drawings and files of an experiment's results: what stands in them is compared with the results themselves.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  curvesCsv,
  curvesSvg,
  type ExperimentOutcome,
  experimentCurves,
  experimentFrontier,
  experimentReport,
  experimentTable,
  frontierCsv,
  frontierMarkdown,
  frontierSvg,
  tableCsv,
  tableMarkdown,
} from '../../src/experiments/index.js';
import { COLORS, plotSvg } from '../../src/plot/index.js';
import { arm, compared, experiment, run, search } from './outcomes.js';

/** Names and texts of an XML document's elements, in order. @throws where a tag is not closed, an attribute is not quoted, or a sign is not escaped. */
function readXml(text: string): { name: string; attributes: Record<string, string>; text: string }[] {
  const found: { name: string; attributes: Record<string, string>; text: string }[] = [];
  const open: (typeof found)[number][] = [];
  const token = /<(\/?)([a-zA-Z]+)((?:\s+[a-zA-Z:-]+="[^"<]*")*)\s*(\/?)>|([^<]+)/y;
  while (token.lastIndex < text.length) {
    const at = token.lastIndex;
    const match = token.exec(text);
    if (match === null) throw new Error(`no XML at ${at}: ${text.slice(at, at + 60)}`);
    const [, close, name = '', attributes = '', isEmpty, words] = match;
    const inner = open.at(-1);
    if (words !== undefined) {
      if (/&(?!amp;|lt;|gt;|quot;)/.test(words)) throw new Error(`not escaped: ${words}`);
      if (inner) inner.text += words;
      else if (words.trim() !== '') throw new Error(`text outside of the root: ${words}`);
    } else if (close === '/') {
      if (open.pop()?.name !== name) throw new Error(`</${name}> closes another element`);
    } else {
      const pairs = [...attributes.matchAll(/([a-zA-Z:-]+)="([^"]*)"/g)].map(([, key = '', value = '']) => [
        key,
        value,
      ]);
      const element = { name, attributes: Object.fromEntries(pairs), text: '' };
      found.push(element);
      if (isEmpty !== '/') open.push(element);
    }
  }
  if (open.length > 0) throw new Error(`${open.at(-1)?.name} is not closed`);
  return found;
}

const textsOf = (svg: string): string[] => readXml(svg).flatMap(({ name, text }) => (name === 'text' ? [text] : []));
const odd = (): ExperimentOutcome => {
  const { arms, runs } = compared();
  const rename = (name: string): string => (name === 'mora' ? '=a, "b" <&>' : name);
  return {
    arms: arms.map((one) => ({ ...one, name: rename(one.name) })),
    runs: runs.map((one) => ({ ...one, arm: rename(one.arm) })),
  };
};

describe('figures as SVG', () => {
  const drawings = (outcome: ExperimentOutcome) => [
    curvesSvg(experimentCurves(outcome), 'demo'),
    frontierSvg(experimentFrontier(outcome), 'demo'),
  ];

  test('are XML with a title and a description, whatever arms are called', () => {
    for (const svg of [...drawings(odd()), ...drawings(experiment([arm('lora')], []))]) {
      const [root, title, desc] = readXml(svg);
      expect(root).toMatchObject({ name: 'svg', attributes: { role: 'img' } });
      expect(root?.attributes['aria-labelledby']).toBe(`${title?.attributes.id} ${desc?.attributes.id}`);
      expect(title?.text).toContain('demo');
      expect(desc?.text).not.toBe('');
      expect(svg).not.toMatch(/NaN|Infinity|undefined/);
    }
  });

  test('name every arm beside its line, and every axis with its unit', () => {
    const [curves = '', plane = ''] = drawings(compared());
    for (const svg of [curves, plane]) expect(textsOf(svg)).toEqual(expect.arrayContaining(['lora', 'mora']));
    expect(textsOf(curves)).toEqual(expect.arrayContaining(['step', 'nats a token', 'learning rate', 'bits per byte']));
    expect(textsOf(plane)).toEqual(
      expect.arrayContaining([
        'learned: loss better than the base, validation rows, nats a token',
        'kept: source rows against the base, bits per byte',
      ]),
    );
  });

  test('ring the rate that was chosen, and nothing else of the search', () => {
    const curves = experimentCurves(compared());
    const svg = curvesSvg({ ...curves, panels: [] }, 'demo');
    const rings = readXml(svg).filter(({ name, attributes }) => name === 'circle' && attributes.fill === 'none');
    expect(rings).toHaveLength(2);
    expect(svg).toContain('<title>lora, rate 0.001: 1.5, chosen</title>');
  });

  test('draw a rate that diverged as a cross at the upper edge', () => {
    const outcome = experiment([arm('lora')], search('lora', [2.2, 1.5, null]));
    const svg = curvesSvg(experimentCurves(outcome), 'demo');
    expect(svg).toMatch(/<title>lora, rate 0.01: diverged<\/title>\s*<path d="M[\d.]+ 36l8 8m0 -8l-8 8"/);
  });

  test('have the colours of the theme, on light and on dark ground', () => {
    const theme = readFileSync(join(import.meta.dirname, '../../../../apps/dashboard/src/theme.css'), 'utf8');
    const named = [...theme.matchAll(/--method-([a-z]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)];
    expect(Object.fromEntries(named.map(([, name, light, dark]) => [name, [light, dark]]))).toEqual(COLORS);
    const [curves = ''] = drawings(compared());
    expect(curves).toContain('.c-lora{color:#0072b2}');
    expect(curves).toMatch(/@media \(prefers-color-scheme:dark\)\{.*\.c-lora\{color:#56b4e9\}/);
  });

  test('put points where their values say', () => {
    const series = {
      label: 'a',
      color: 'lora',
      line: 'solid' as const,
      points: [0, 10, 20].map((x) => ({ x, y: x, title: '' })),
    };
    const svg = plotSvg({
      title: 't',
      description: 'd',
      panels: [{ title: 'p', xLabel: 'x', yLabel: 'y', xScale: 'linear', series: [series] }],
    });
    // 364 × 260 inside; margins of 4 % and 8 % of 20: x from −0.8 to 20.8, y from −1.6 to 21.6.
    const x = (value: number): number => 66 + (364 * (value + 0.8)) / 21.6;
    const y = (value: number): number => 34 + 260 * (1 - (value + 1.6) / 23.2);
    const path = [0, 10, 20].map((v) => `${Number(x(v).toFixed(1))} ${Number(y(v).toFixed(1))}`).join('L');
    expect(svg).toContain(`d="M${path}"`);
  });

  test('names of many arms at one place do not meet', () => {
    const series = Array.from({ length: 12 }, (_, i) => ({
      label: `arm ${i}`,
      color: 'lora',
      line: 'solid' as const,
      points: [
        { x: 0, y: 1, title: '' },
        { x: 1, y: 1 + i / 1e6, title: '' },
      ],
    }));
    const panel = { title: 'p', xLabel: 'x', yLabel: 'y', xScale: 'linear' as const, series };
    const placed = readXml(plotSvg({ title: 't', description: 'd', panels: [panel] }))
      .filter(({ text }) => text.startsWith('arm '))
      .map(({ attributes }) => Number(attributes.y))
      .sort((a, b) => a - b);
    expect(placed).toHaveLength(12);
    for (const [i, at] of placed.entries()) expect(at - (placed[i - 1] ?? 0)).toBeGreaterThanOrEqual(13.9);
    expect(placed.at(-1)).toBeLessThan(300);
  });
});

describe('figures as CSV', () => {
  test('have a row an arm with what the table has, and cells that hold a comma or a quote', () => {
    const table = experimentTable(odd());
    const lines = tableCsv(table).split('\r\n');
    expect(lines).toHaveLength(4);
    expect(lines[2]).toMatch(/^"'=a, ""b"" <&>",/);
    const [head = [], lora = []] = lines.map((line) => line.split(','));
    expect(Number(lora[head.indexOf('learned')])).toBe(table.rows[0]?.learned?.mean);
    expect(lora[head.indexOf('learned_half')]).toBe(String(table.rows[0]?.learned?.half));
  });

  test('have every point of every curve and of the plane', () => {
    const [curves, frontier] = [experimentCurves(compared()), experimentFrontier(compared())];
    const points = curves.panels.flatMap(({ arms }) =>
      arms.flatMap(({ runs, mean }) => [...runs.flatMap((one) => one.points), ...mean]),
    );
    const rates = curves.rates.flatMap((one) => one.points);
    expect(curvesCsv(curves).trim().split('\r\n')).toHaveLength(1 + points.length + rates.length);
    // Two checkpoints a run.
    expect(frontierCsv(frontier).trim().split('\r\n')).toHaveLength(1 + 2 * 6);
  });
});

describe('the report', () => {
  const reportOf = (outcome: ExperimentOutcome, configs: Parameters<typeof experimentReport>[0]['configs'] = []) =>
    experimentReport({
      id: 'exp-1',
      name: 'demo',
      model: 'tiny',
      status: 'succeeded',
      request: {
        ...{ model: 'tiny', fixed: { batch_size: 4 }, seeds: { search: 1, final: [2, 3, 4] } },
        metadata: { note: 'one\r\ntwo <b>three</b> \\| four' },
      },
      configs,
      table: experimentTable(outcome),
      frontier: experimentFrontier(outcome),
    });

  test('has the figures with their intervals, claims, and the run that each number is of', () => {
    const outcome = compared();
    const text = reportOf(outcome);
    expect(text).toContain('1.1 ± 0.2484');
    expect(text).toContain('- mora learned more than lora: loss −0.333 ± 0.143 (95 %, 3 seeds) nats a token.');
    for (const { run_id, phase } of outcome.runs) if (phase === 'final') expect(text).toContain(`\`${run_id}\``);
    expect(text).not.toMatch(/NaN|undefined|\[object/);
  });

  test('has every setting of the request and of the runs, shared ones once and others by arm', () => {
    const config = (rank: number) => ({ seed: 2, adapter: { type: 'lora', rank, target_modules: ['q', 'v'] } });
    const configs = [
      { arm: 'lora', run_id: 'ftjob-a', config: config(4) },
      { arm: 'mora', run_id: 'ftjob-b', config: config(8) },
    ];
    const text = reportOf(compared(), configs);
    for (const line of [
      '| `fixed.batch_size` | 4 |',
      '| `seeds.final` | 2, 3, 4 |',
      '| `adapter.target_modules` | q, v |',
      '| `adapter.rank` | 4 | 8 |',
    ])
      expect(text).toContain(line);
    expect(text).not.toContain('| `adapter.type` | lora | lora |');
    // Text of a user's stays one cell, and is no markup.
    expect(text).toContain('| `metadata.note` | one<br>two &lt;b&gt;three&lt;/b&gt; \\\\\\| four |\n');
  });

  test('says why arms are not comparable, and what is open', () => {
    const { arms, runs } = compared();
    const unequal = runs.map((one) => (one.arm === 'mora' ? { ...one, tokens: 39_000 } : one));
    const text = reportOf({ arms, runs: unequal });
    expect(text).toContain(
      '- Not comparable because with equal seeds they saw different numbers of tokens (seed 2: lora 40,000, mora 39,000; ',
    );
    expect(text).toContain('No difference between comparable arms has an interval without 0.');
    const same = runs.map((one) => (one.arm === 'mora' && one.phase === 'final' ? { ...one, points: [] } : one));
    expect(reportOf({ arms, runs: same })).toContain('no checkpoint has both validation and test scores');
  });

  test('of an experiment without a run says so and is whole', () => {
    const text = reportOf(experiment([arm('lora')], [run('lora', { status: 'queued', seconds: null })]));
    expect(text).toContain('it is queued');
    expect(text).toContain('1 runs not measured');
  });

  test('table and front stand alone in Markdown too', () => {
    expect(tableMarkdown(experimentTable(compared()))).toContain('| lora | 1,000 | 0.001 |');
    expect(frontierMarkdown(experimentFrontier(compared()))).toContain('| the base |  | 0 | 1 | 0 | 0 |');
  });
});
