/** What `npm run test:gpu` found so far, as JSON and as a page; both are written anew after every result, so that nothing is lost. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DoctorReport } from '@moraine/engine/install';
import type { Torch } from './torch.js';

export type Stage = 'first proof' | 'golden rows' | 'training' | 'decoding' | 'memory';

export interface Result {
  stage: Stage;
  name: string;
  /** `moraine` or `PyTorch`; empty where there are no sides. */
  side: string;
  /** Null: not judged, with the reason in `problem`: no time was left, or it does not fit on the card. */
  isRight: boolean | null;
  figures: Readonly<Record<string, unknown>>;
  problem: string;
  seconds: number;
}

export interface Surroundings {
  machine: DoctorReport;
  torch: Torch | string;
  /** Of Moraine, Node, TensorFlow and the CUDA libraries. */
  versions: Readonly<Record<string, string>>;
  command: string;
}

export function writeRecord(out: string, around: Surroundings, results: readonly Result[]): void {
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, 'figures.json'), `${JSON.stringify({ ...around, results }, null, 2)}\n`);
  writeFileSync(join(out, 'README.md'), pageOf(around, results));
}

/** Figures shown in the tables, by name, with their headings. */
const COLUMNS: Record<string, string> = {
  difference: 'largest difference',
  limit: 'limit',
  worst: 'where',
  first_ms: 'first, ms',
  next_ms: 'next, ms',
  tokens_per_second: 'tokens/s',
  step_ms_median: 'step, ms',
  first_step_ms: 'first step, ms',
  decode_tokens_per_second: 'decoded tokens/s',
  loss_first: 'first loss',
  steps: 'steps',
  rss_growth_mb: 'growth, MB',
  card_growth_mb: 'growth on the card, MB',
  tensor_growth: 'tensors more',
  peak_rss_mb: 'memory, MB',
  card_peak_mb: 'card, MB',
};

export function pageOf({ machine, torch, versions, command }: Surroundings, results: readonly Result[]): string {
  const { device, nvidia } = machine;
  const stages = [...new Set(results.map(({ stage }) => stage))];
  const wrong = results.filter(({ isRight }) => isRight === false).length;
  const open = results.filter(({ isRight }) => isRight === null).length;
  const driver =
    nvidia === null ? 'no NVIDIA driver: this run shows only that the test works' : `driver ${nvidia.version}`;
  const other =
    typeof torch === 'string'
      ? `not compared with PyTorch (${torch})`
      : Object.entries(torch.versions)
          .map((pair) => pair.join(' '))
          .join(', ');
  return `# ${device?.name ?? 'unknown device'}

Written by \`${command}\`. ${Object.entries(versions)
    .map((pair) => pair.join(' '))
    .join(', ')}; ${driver}; ${machine.processor}, ${machine.cores} cores, ${machine.platform}.
Other side: ${other}.

${results.length} results, ${wrong} wrong, ${open} not judged.
${stages
  .map((stage) =>
    table(
      stage,
      results.filter((one) => one.stage === stage),
    ),
  )
  .join('')}${speedTable(results)}`;
}

function table(stage: Stage, rows: readonly Result[]): string {
  const shown = Object.keys(COLUMNS).filter((key) => rows.some(({ figures }) => figures[key] !== undefined));
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;
  const lines = rows.map(({ name, side, isRight, figures, problem, seconds }) => {
    const verdict = isRight === null ? 'not judged' : isRight ? 'right' : 'WRONG';
    const why = problem === '' ? '' : `: ${(problem.split('\n').at(-1) ?? '').replaceAll('|', '/')}`;
    return row([name, side, ...shown.map((key) => cell(figures[key])), seconds.toFixed(1), `${verdict}${why}`]);
  });
  const heads = ['', 'side', ...shown.map((key) => COLUMNS[key] ?? key), 's', ''];
  return `\n## ${stage}\n\n${row(heads)}|${heads.map(() => '---').join('|')}|\n${lines.join('')}`;
}

function cell(value: unknown): string {
  if (typeof value !== 'number') return value === undefined || value === null ? '' : String(value);
  if (value !== 0 && Math.abs(value) < 0.01) return value.toExponential(1);
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toFixed(2)));
}

/** Medians of the rounds of both sides and their ratio, for what both sides did. */
function speedTable(results: readonly Result[]): string {
  const lines: string[] = [];
  for (const key of ['tokens_per_second', 'decode_tokens_per_second'] as const) {
    for (const name of new Set(results.map((result) => result.name))) {
      const of = (side: string): number | null =>
        median(
          results.flatMap((one) =>
            one.name === name && one.side === side && typeof one.figures[key] === 'number' ? [one.figures[key]] : [],
          ),
        );
      const [ours, theirs] = [of('moraine'), of('PyTorch')];
      if (ours === null || theirs === null) continue;
      lines.push(
        `| ${name}, ${key === 'tokens_per_second' ? 'training' : 'decoding'} | ${cell(ours)} | ${cell(theirs)} | ${(ours / theirs).toFixed(2)} |\n`,
      );
    }
  }
  if (lines.length === 0) return '';
  return `\n## Beside PyTorch with PEFT, tokens per second\n\n| | Moraine | PyTorch | ratio |\n|---|--:|--:|--:|\n${lines.join('')}`;
}

export function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[sorted.length >> 1]];
  return low === undefined || high === undefined ? null : (low + high) / 2;
}
