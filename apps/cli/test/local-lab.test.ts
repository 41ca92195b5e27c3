import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { WeightRow } from '@moraine/contract/analyses';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { moraineOnce } from './stack.js';
import { writeTinyBase } from './tiny-base.js';

vi.setConfig({ testTimeout: 120_000 });
const dir = mkdtempSync(path.join(tmpdir(), 'moraine lab '));
const [base, data, out] = ['tiny', 'rows.jsonl', 'run'].map((name) => path.join(dir, name)) as [string, string, string];
const local = (...words: string[]) => moraineOnce(['local', ...words], { TF_NUM_INTRAOP_THREADS: '1' });

beforeAll(async () => {
  writeTinyBase(base);
  writeFileSync(data, '{"prompt": "Nalmen called Kelna.", "completion": "Kelna."}\n'.repeat(8));
  const config = path.join(dir, 'config.json');
  writeFileSync(
    config,
    '{"adapter": {"rank": 2}, "checkpoint": {"every_steps": 3, "keep_last": 9, "keep_best": false}}',
  );
  const words = ['--data', data, '--config', config, '--steps', '6', '--batch-size', '4', '--seed', '5', '--out', out];
  const trained = await local('train', '--base', base, ...words);
  expect(trained.status).toBe(0);
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const lab = (...words: string[]) => local('lab', '--base', base, ...words);
async function rowsOf(...words: string[]): Promise<WeightRow[]> {
  const { status, output } = await lab(...words, '--json');
  expect(status, output).toBe(0);
  return (JSON.parse(output) as { layers: WeightRow[] }).layers;
}

test('a run’s folder is its adapter: a line a layer with the control in brackets, means by kind, and the curve', async () => {
  const { status, output } = await lab('--adapter', out, '--k', '3');
  expect(status, output).toBe(0);
  expect(output).toMatch(/^layers\.0\.self_attn\.q_proj +\d+ × \d+ +0\.\d{5} +[12] \(\d+\) +1\.\d \(\d+\.\d\)/m);
  expect(output).toMatch(/^run +q_proj +\d+ /m);
  expect(output).toMatch(/In brackets: normal numbers of the same norm\. Intruders: of 3 directions, .* below 0\.5\./);
  expect(output).toMatch(/ε 0\.1 .*ε 0\.9/);
});

test('checkpoints are the course: the same layer with a step each, and its norm grows', async () => {
  const rows = await rowsOf('--checkpoint', out, '--adapter', out, '--layers', 'layers.0.self_attn.q_proj');
  expect(rows.map(({ source, step }) => [source, step])).toEqual([
    ['run/step-00000003', 3],
    ['run/step-00000006', 6],
    ['run', null],
  ]);
  expect(rows[1]?.norm).toBeGreaterThan(rows[0]?.norm ?? 0);
  expect((rows[2]?.norm ?? 0) / (rows[1]?.norm ?? 1)).toBeCloseTo(1, 5);
  expect(rows.every(({ rank_90, from }) => rank_90 <= 2 && from === 'factors')).toBe(true);
});

test('--lambda is a share of the norm; CSV and JSON hold the same figures', async () => {
  const part = ['--adapter', out, '--layers', 'layers.0.mlp', '--epsilon', '0.9', '--seed', '4'];
  const [whole, half] = [await rowsOf(...part), await rowsOf(...part, '--lambda', '0.5')];
  for (const [i, row] of half.entries()) expect(row.norm / (whole[i]?.norm ?? 1)).toBeCloseTo(0.5, 5);
  const { output } = await lab(...part, '--csv');
  const [titles = '', ...lines] = output.trim().split('\n');
  expect(lines).toHaveLength(whole.length);
  const columns = titles.split(',');
  for (const [i, line] of lines.entries()) {
    const cells = Object.fromEntries(line.split(',').map((cell, at) => [columns[at], cell]));
    const row = whole[i];
    expect([cells.layer, Number(cells.norm), Number(cells.control_rank_90)]).toEqual([
      row?.layer,
      row?.norm,
      row?.control?.rank_90,
    ]);
    expect([cells.epsilon, Number(cells.intruders)]).toEqual(['0.9', row?.intruders]);
  }
});

test.each([
  [[], 'Nothing is named whose change could be measured.', 2],
  [['--adapter', out, '--json', '--csv'], '--json and --csv are two forms', 2],
  [['--checkpoint', dir], 'is no checkpoint and holds none'],
  [['--adapter', out, '--layers', 'lm_head'], 'No changed layer is wanted; the first of', 2],
  [['--adapter', base], 'more weights', 0],
] as [string[], string, number?][])('lab %j says %s', async (words, said, status = 1) => {
  const ended = await lab(...words);
  expect(ended).toMatchObject({ status, output: expect.stringContaining(said) });
  if (status === 0) expect(ended.output).toMatch(/^tiny +q_proj .* 0\.00000 +0\.0 +– +– +– +0\.0$/m);
});
