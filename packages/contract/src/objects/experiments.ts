import { z } from 'zod';
import { Metadata } from '../run-request.js';
import { RunStatus } from '../states.js';
import { seconds } from './common.js';

export const ExperimentStatus = z.enum(['running', 'paused', 'succeeded', 'failed', 'cancelled']);
export type ExperimentStatus = z.infer<typeof ExperimentStatus>;

/** Least and most: how far a search goes is not known before. */
const Range = z.object({ least: z.number(), most: z.number() });

/** One arm: what it trains, and how far it is. */
export const ExperimentArmObject = z
  .object({
    name: z.string(),
    /** `adapter.type`, its short form with its size, and the name of its colour. */
    method: z.object({ type: z.string(), label: z.string(), color: z.string() }),
    /** `adapter` of its runs, with the size that the budget gave it. */
    adapter: z.record(z.string(), z.unknown()),
    trainable_parameters: z.int(),
    /** What it trains, in words. */
    coverage: z.string(),
    /** Share of source rows among those that are drawn; null where only targets are. */
    replay_share: z.number().nullable(),
    /** Rates that are tried first; a search may go on. */
    learning_rates: z.array(z.number()),
    runs: Range,
    /** Of a search by rungs: the step of each, and how many of the runs come to it; expected: in a random order. */
    rungs: z.array(z.object({ step: z.int(), runs: Range.extend({ expected: z.number() }) })).optional(),
    phase: z.enum(['search', 'final', 'done', 'failed']),
    /** The rate that was chosen, and whether it has a worse neighbour on both sides; null before. */
    learning_rate: z.number().nullable(),
    is_bracketed: z.boolean().nullable(),
    note: z.string(),
    /** What a run of the search and one of the final seeds take; in the answer to `dry_run`. */
    seconds_per_run: z.object({ search: z.number(), final: z.number() }).optional(),
  })
  .meta({ id: 'ExperimentArm' });
export type ExperimentArmObject = z.infer<typeof ExperimentArmObject>;

/** One run that there is or that starts at once. */
export const ExperimentCell = z
  .object({
    arm: z.string(),
    phase: z.enum(['search', 'final']),
    learning_rate: z.number(),
    seed: z.int(),
    run_id: z.string().nullable(),
    status: RunStatus.nullable(),
    step: z.int(),
    steps: z.int(),
    /** Validation loss after the last step, nats a token; null before, and where it diverged. */
    score: z.number().nullable(),
    error: z.string().nullable(),
    /** The step of a rung that it is on its way to, is held at or was stopped at; null: its last, or it is no run of a search by rungs. */
    hold_step: z.int().nullable(),
    /** Whether it was stopped there as one of the worse. */
    is_stopped: z.boolean(),
    /** Validation losses at the steps of rungs; null where one was no number. Those of two rungs are not comparable. */
    rungs: z.array(z.object({ step: z.int(), loss: z.number().nullable() })),
  })
  .meta({ id: 'ExperimentCell' });
export type ExperimentCell = z.infer<typeof ExperimentCell>;

/** A setting in which two experiments differ; null where one has none. */
export const ExperimentDifference = z.object({ key: z.string(), before: z.unknown(), after: z.unknown() });
export type ExperimentDifference = z.infer<typeof ExperimentDifference>;

export const ExperimentObject = z
  .object({
    id: z.string(),
    object: z.literal('experiment'),
    created_at: seconds,
    finished_at: seconds.nullable(),
    name: z.string(),
    model: z.string(),
    status: ExperimentStatus,
    /** Why it failed; null otherwise. */
    reason: z.string().nullable(),
    /** What was asked for, and what it grew by, with every default. */
    request: z.record(z.string(), z.unknown()),
    arms: z.array(ExperimentArmObject),
    cells: z.array(ExperimentCell),
    runs: Range.extend({ made: z.int(), ended: z.int() }),
    /** Why arms will not be comparable, as far as that is known before a run; sentences that follow "not comparable because". */
    warnings: z.array(z.string()),
    /** Of all its runs, evaluations and analyses one after the other, in seconds, on workers of its pool that are there; `expected` where a search stops runs early. In the answer to `dry_run`. */
    cost: z
      .object({
        seconds: Range.extend({ expected: z.number().optional() }),
        /** Tasks beside the runs, which the seconds count too: evaluations of the way back to the base, analyses. */
        beside: z.object({ evaluations: Range, analyses: Range }).optional(),
        workers: z.int(),
        /** Runs of the pool whose pace the estimate follows; 0: none has ended yet, and the time is a rough one. */
        measured_runs: z.int(),
      })
      .optional(),
    cloned_from: z.string().nullable(),
    /** From the one that it is a clone of; in the answer to that. */
    differences: z.array(ExperimentDifference).optional(),
    pool: z.string(),
    priority: z.int(),
    metadata: Metadata,
  })
  .meta({ id: 'Experiment' });
export type ExperimentObject = z.infer<typeof ExperimentObject>;

/** An experiment as a row of a list. */
export const ExperimentSummary = z
  .object({
    id: z.string(),
    object: z.literal('experiment.summary'),
    created_at: seconds,
    finished_at: seconds.nullable(),
    name: z.string(),
    model: z.string(),
    status: ExperimentStatus,
    reason: z.string().nullable(),
    arms: z.array(z.string()),
    runs: z.object({ made: z.int(), ended: z.int() }),
  })
  .meta({ id: 'ExperimentSummary' });
export type ExperimentSummary = z.infer<typeof ExperimentSummary>;
