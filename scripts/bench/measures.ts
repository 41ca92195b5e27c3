import { median } from '@moraine/contract/stats';
import { type Figures, numberIn } from './sides.js';

/** What of a job's runs is compared, and what it must reach. */
export interface Measure {
  key: string;
  title: string;
  job: string;
  /** Sides of the job: the one that is judged, and what it is judged by. */
  ours: string;
  theirs: string;
  figure: string;
  unit: string;
  /** Which way round the ratio goes: `more`: ours / theirs of something good; `less`: ours / theirs of something that costs. */
  better: 'more' | 'less';
  /** The ratio that must be reached and the one that is hoped for. */
  must: number;
  hope: number;
  /** `must` and `hope` speak of our own figure, not of the ratio. */
  isAbsolute?: boolean;
}

const MORA = { job: 'mora', theirs: 'LoRA', figure: 'step_ms_median', unit: 'ms', better: 'less' } as const;
const AGAINST = { ours: 'Moraine', theirs: 'PEFT' } as const;
const SPEED = { ...AGAINST, figure: 'tokens_per_second', unit: 'tokens/s', better: 'more' } as const;
const DECODE = {
  ours: 'Moraine',
  theirs: 'transformers',
  figure: 'decode_tokens_per_second',
  unit: 'tokens/s',
  better: 'more',
} as const;

/** The measures of the design document, in its order. */
export const MEASURES: readonly Measure[] = [
  { key: 'dense15', title: 'dense step, 15M, 4 x 256', job: 'dense15', ...SPEED, must: 1.25, hope: 1.5 },
  { key: 'dense135', title: 'dense step, 135M, 2 x 256', job: 'dense135', ...SPEED, must: 1.05, hope: 1.2 },
  {
    key: 'real',
    title: 'instruction rows, 15M, batch 16, against padded batches',
    job: 'real',
    ...SPEED,
    must: 3,
    hope: 5,
  },
  {
    key: 'real-grouped',
    title: 'the same, against batches of like length',
    job: 'real',
    ...SPEED,
    theirs: 'PEFT grouped',
    must: 1.5,
    hope: 2.5,
  },
  {
    key: 'memory135',
    title: 'peak memory, 135M',
    job: 'dense135',
    ...AGAINST,
    figure: 'peak_rss_mb',
    unit: 'MB',
    better: 'less',
    must: 0.6,
    hope: 0.5,
  },
  {
    key: 'first135',
    title: 'first step after the start of the process, 135M',
    job: 'dense135',
    ...AGAINST,
    figure: 'first_step_ms',
    unit: 'ms',
    better: 'less',
    must: 8000,
    hope: 4000,
    isAbsolute: true,
  },
  {
    key: 'mora1',
    title: 'step of MoRA 1 against LoRA, equal budget, 15M',
    ...MORA,
    ours: 'MoRA 1',
    must: 1.15,
    hope: 1.05,
  },
  {
    key: 'mora6',
    title: 'step of MoRA 6 against LoRA, equal budget, 15M',
    ...MORA,
    ours: 'MoRA 6',
    must: 1.35,
    hope: 1.15,
  },
  { key: 'decode15', title: 'greedy decode, 15M, one row', job: 'decode15', ...DECODE, must: 1.2, hope: 2 },
  { key: 'decode135', title: 'greedy decode, 135M, one row', job: 'decode135', ...DECODE, must: 1, hope: 1.2 },
];

export interface Measured extends Measure {
  oursValues: number[];
  theirsValues: number[];
  /** Ours by theirs, of every pair. */
  ratios: number[];
  ratioMedian: number;
  /** Ours at its best by theirs at its best. */
  ratioOfBest: number;
  isMet: boolean;
}

/** A measure from the rounds of its job, each the figures of every side by name. */
export function measureRounds(measure: Measure, rounds: readonly Record<string, Figures>[]): Measured {
  const values = (side: string): number[] => rounds.map((round) => numberIn(round[side] ?? {}, measure.figure));
  const [oursValues, theirsValues] = [values(measure.ours), values(measure.theirs)];
  const ratios = oursValues.map((value, i) => value / (theirsValues[i] ?? Number.NaN));
  const best = (list: number[]): number => (measure.better === 'more' ? Math.max(...list) : Math.min(...list));
  const ratioMedian = median(ratios);
  const judged = measure.isAbsolute ? median(oursValues) : ratioMedian;
  return {
    ...measure,
    oursValues,
    theirsValues,
    ratios,
    ratioMedian,
    ratioOfBest: best(oursValues) / best(theirsValues),
    isMet: measure.better === 'more' ? judged >= measure.must : judged <= measure.must,
  };
}
