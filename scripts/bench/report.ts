import { cpus, release, totalmem } from 'node:os';
import { median } from '@moraine/contract/stats';
import type { Measured } from './measures.js';
import type { Figures } from './sides.js';

export interface JobReport {
  key: string;
  /** What was typed, by side. */
  commands: Record<string, string>;
  /** The figures of every round by side. */
  rounds: Record<string, Figures>[];
  /** Processes waiting for a core when each round began. */
  load: number[];
  /** Where the sides did not compute the same; empty when they did. */
  disagreements: string[];
}

export interface Report {
  date: string;
  machine: string;
  environment: Record<string, string | number>;
  pairs: number;
  rowsFrom: string;
  command: string;
  measures: Measured[];
  jobs: JobReport[];
}

/** The machine as far as it decides speed. */
export function environmentOf(): Record<string, string | number> {
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: cpus().length,
    memory_gb: Math.round(totalmem() / 2 ** 30),
    system: `${process.platform} ${release()}`,
    node: process.versions.node,
  };
}

export function markdown(report: Report, plotName: string): string {
  const { environment, measures, jobs, pairs } = report;
  const versions = versionsOf(jobs);
  const loads = jobs.flatMap(({ load }) => load);
  return [
    `# Moraine against PyTorch with PEFT, ${report.date}`,
    '',
    `${environment.processor}, ${environment.cores} cores, ${environment.memory_gb} GB, ${environment.system}. ${Object.entries(
      versions,
    )
      .map(([name, version]) => `${name} ${version}`)
      .join(', ')}.`,
    `${pairs} rounds; in each the programs run one after the other, in turned order in every second round. Every run is a process of its own; its first two steps are not measured. Load before the rounds: ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}.`,
    '',
    `![The ratios as bars](${plotName})`,
    '',
    '| measure | Moraine: median (best) | other side: median (best) | ratio: median (all pairs) | of the best | must | hope | met |',
    '|---|--:|--:|--:|--:|--:|--:|---|',
    ...measures.map(measureRow),
    '',
    'Ratios are ours by theirs: of speeds more is better, of times and memory less.',
    '',
    ...jobs.flatMap(jobSection),
    '## Commands',
    '',
    '```sh',
    `# all of it: ${report.command}`,
    ...jobs.flatMap(({ commands }) => Object.entries(commands).map(([side, command]) => `# ${side}\n${command}`)),
    '```',
    '',
    `Instruction rows: ${report.rowsFrom}.`,
    '',
  ].join('\n');
}

const digits = (value: number): string => (Math.abs(value) >= 100 ? value.toFixed(0) : value.toPrecision(3));

function measureRow(one: Measured): string {
  const best = (values: number[]): number => (one.better === 'more' ? Math.max(...values) : Math.min(...values));
  const both = (values: number[]): string => `${digits(median(values))} (${digits(best(values))}) ${one.unit}`;
  const sign = one.better === 'more' ? '≥' : '≤';
  const limit = (value: number): string => (one.isAbsolute ? `${sign} ${value} ${one.unit}` : `${sign} ${value}x`);
  const range = `${Math.min(...one.ratios).toFixed(2)}–${Math.max(...one.ratios).toFixed(2)}`;
  return `| ${one.title} | ${both(one.oursValues)} | ${one.theirs}: ${both(one.theirsValues)} | **${one.ratioMedian.toFixed(2)}x** (${range}) | ${one.ratioOfBest.toFixed(2)}x | ${limit(one.must)} | ${limit(one.hope)} | ${one.isMet ? 'yes' : '**no**'} |`;
}

const COLUMNS: [string, string, number][] = [
  ['step_ms_median', 'step median ms', 1],
  ['step_ms_min', 'least ms', 1],
  ['step_cpu_ms', 'processor ms', 0],
  ['tokens_per_second', 'tokens/s', 0],
  ['supervised_per_second', 'supervised/s', 0],
  ['first_step_ms', 'first step after ms', 0],
  ['peak_rss_mb', 'peak MB', 0],
  ['host_share', 'host share', 4],
  ['loss_first', 'first loss', 5],
  ['loss_last10', 'mean of last 10 losses', 4],
  ['decode_tokens_per_second', 'decoded tokens/s', 1],
];

/** Medians over the rounds, side by side. */
function jobSection({ key, rounds, disagreements }: JobReport): string[] {
  const sides = Object.keys(rounds[0] ?? {});
  const columns = COLUMNS.filter(([figure]) =>
    rounds.some((round) => sides.some((side) => typeof round[side]?.[figure] === 'number')),
  );
  const cell = (side: string, figure: string, places: number): string => {
    const values = rounds.flatMap((round) => {
      const value = round[side]?.[figure];
      return typeof value === 'number' ? [value] : [];
    });
    return values.length === 0 ? '' : median(values).toFixed(places);
  };
  return [
    `## ${key}`,
    '',
    `| | ${columns.map(([, title]) => title).join(' | ')} |`,
    `|---|${columns.map(() => '--:').join('|')}|`,
    ...sides.map(
      (side) => `| ${side} | ${columns.map(([figure, , places]) => cell(side, figure, places)).join(' | ')} |`,
    ),
    '',
    ...disagreements.flatMap((problem) => [`**${problem}**`, '']),
  ];
}

function versionsOf(jobs: readonly JobReport[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { rounds } of jobs)
    for (const figures of rounds.flatMap((round) => Object.values(round)))
      Object.assign(found, figures.versions as Record<string, string> | undefined);
  return found;
}
