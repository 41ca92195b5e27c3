import { AppError } from '@moraine/contract';
import type { ExperimentRequest } from '@moraine/contract/experiments';
import { duration } from '../terminal.js';

/** What a tuning is made of. Files are ids of the server. */
export interface TuneInput {
  name: string;
  model: string;
  train: string;
  validation: string;
  test: string;
  /** Rows of what the base knows; null where nobody asks what is forgotten. */
  keep: string | null;
  /** Distinct rows to train on. */
  rows: number;
}

/** Which arms, how many rates each may try, and how long each run is. */
export interface TuneSize {
  arms: readonly ArmName[];
  /** Absent in what an earlier version kept: the most. */
  rates?: number;
  steps: number;
}

export const ARMS = {
  LoRA: { type: 'lora', rank: 8 },
  MoRA: { type: 'mora', rank: 8 },
  full: { type: 'none' },
} as const;
export type ArmName = keyof typeof ARMS;

export const ARM_NAMES = Object.keys(ARMS) as ArmName[];

/** Rates that an arm may try: with the fewest the search cannot go on where its best one lies at an edge. */
const [RATES_LEAST, RATES_MOST] = [3, 5];

/** What is left out where a budget has no room for all of it, the dearest last: a search that goes on, then full fine-tuning. The final runs are always kept. */
export const SIZES: readonly Omit<TuneSize, 'steps'>[] = [
  { arms: ARM_NAMES, rates: RATES_MOST },
  { arms: ARM_NAMES, rates: RATES_LEAST },
  { arms: ARM_NAMES.filter((arm) => arm !== 'full'), rates: RATES_MOST },
  { arms: ARM_NAMES.filter((arm) => arm !== 'full'), rates: RATES_LEAST },
];

/** Shorter runs show nothing; longer ones than three times through the rows seldom help. */
export const STEPS_LEAST = 20;
const EPOCHS_MOST = 3;
const batchOf = (rows: number): number => (rows >= 256 ? 16 : 8);
export const stepsMost = (rows: number): number =>
  Math.max(STEPS_LEAST, Math.ceil((EPOCHS_MOST * rows) / batchOf(rows)));

/**
 * The experiment that a tuning is: the rate of each arm is searched by validation rows, then it is repeated with three seeds; what was trained is
 * scored at parts of its update too, and test rows are read for what was chosen.
 */
export function tuneRequest(input: TuneInput, { arms, rates = RATES_MOST, steps }: TuneSize): ExperimentRequest {
  const { name, model, train, validation, test, keep, rows } = input;
  return {
    name,
    model,
    training_file: train,
    evaluation: {
      validation,
      test,
      source: keep === null ? [] : [keep],
      every_steps: Math.ceil(steps / 4),
      // The budget is for training; which checkpoint to take is chosen among those that have test scores.
      points: 'ends',
      samples: 0,
    },
    fixed: { max_steps: steps, batch_size: batchOf(rows), schedule: { type: 'cosine' } },
    arms: arms.map((arm) => ({ name: arm, adapter: ARMS[arm] })),
    // Which method to use is the question, whatever each trains.
    varies: ['trainable_parameters'],
    search: { type: 'bracket', factor: 3, max_runs: rates },
    seeds: { search: 1, final: [2, 3, 4] },
    lambdas: [0.5, 0.75],
    metadata: { made_by: 'tune' },
  };
}

/** Steps of a run that is only there to be timed. */
const PROBE_STEPS = 10;

/** A short run of an arm, with the batch and rows of the runs that it is timed for. */
export const probeRequest = ({ model, train, validation, rows }: TuneInput, arm: ArmName) => ({
  model,
  training_file: train,
  validation_file: validation,
  adapter: ARMS[arm],
  max_steps: PROBE_STEPS,
  batch_size: batchOf(rows),
  seed: 1,
  suffix: `timed ${arm}`,
  evaluation: { samples: 0 },
  metadata: { made_by: 'tune' },
});

/** What a plan costs: of so many steps a run, seconds at most. */
export interface Cost {
  steps: number;
  seconds: number;
}

/**
 * The steps of a run for which everything fits into the budget, from the costs of two lengths (the cost is a straight line over steps); null where not even the
 * shortest runs do.
 */
export function stepsFor(budgetS: number, [short, long]: readonly [Cost, Cost], most: number): number | null {
  const aStep = (long.seconds - short.seconds) / (long.steps - short.steps);
  const least = short.seconds + (STEPS_LEAST - short.steps) * aStep;
  if (least > budgetS) return null;
  const steps = aStep <= 0 ? most : Math.floor(short.steps + (budgetS - short.seconds) / aStep);
  return Math.max(STEPS_LEAST, Math.min(most, steps));
}

const UNITS = { s: 1, m: 60, h: 3600 } as const;

/** Seconds of `90s`, `30m` or `2h`. @throws AppError for other words. */
export function parseBudget(text: string): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)([smh])$/.exec(text) ?? [];
  const seconds = Number(count) * UNITS[unit as keyof typeof UNITS];
  if (Number.isFinite(seconds) && seconds > 0) return seconds;
  throw new AppError('invalid_request', `--budget is '${text}', which is no time.`, {
    hint: 'Write e.g. --budget 30m, 90s or 2h.',
  });
}

/** For a budget that not even the shortest plan fits into. */
export const tooShort = (budgetS: number, least: number): AppError =>
  new AppError(
    'invalid_request',
    `A budget of ${duration(budgetS)} is too short: the least takes ${duration(least)}.`,
    {
      hint: `Write --budget ${Math.ceil(least / 60)}m, or start more workers.`,
    },
  );
