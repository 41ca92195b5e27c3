import { z } from 'zod';
import { RunConfig } from './run-config.js';
import { DataRole } from './run-request.js';

// What is said of a run before it starts: what would serve it better, what it would learn, what it would take.

/** A setting that would serve a run better. */
export const Advice = z
  .object({
    /** The key of the request, and the value to give it. */
    param: z.string(),
    value: z.string(),
    /** How many times as fast steps become, from and to. */
    speedup: z.tuple([z.number(), z.number()]),
    message: z.string(),
  })
  .meta({ id: 'Advice' });
export type Advice = z.infer<typeof Advice>;

/** What a run would learn from a file that it reads. */
export const FileRehearsal = z
  .object({
    file_id: z.string(),
    /** The key of the request that names the file. */
    param: z.string(),
    /** Rows of the file that were looked at: all of them, or as many as some seconds suffice for. */
    rows_read: z.int(),
    is_whole: z.boolean(),
    /** Rows to train on, or to measure, that these made, and their tokens with and without what is asked. */
    rows: z.int(),
    tokens: z.int(),
    supervised_tokens: z.int(),
    longest_tokens: z.int(),
    /** Of a file of a data_mix: its part of the rows and the tokens that the run is shown, and how often it shows a row of it. */
    mix: z
      .object({
        role: DataRole,
        weight: z.number(),
        rows_share: z.number(),
        tokens_share: z.number(),
        passes: z.number(),
      })
      .optional(),
    /** What is cut, left out or changed, a sentence each, as the run says it before its first step. */
    warnings: z.array(z.string()),
  })
  .meta({ id: 'FileRehearsal' });
export type FileRehearsal = z.infer<typeof FileRehearsal>;

/** Tasks of one kind, and their seconds one after the other on a worker; null where none like them has ended in the pool on this base. */
const TaskCount = z.object({ count: z.int(), seconds: z.number().nullable() });

/** Tasks of their own that a run asks for, which other workers may do. Of checkpoints by time there are at least as many. */
export const BesideTasks = z
  .object({
    /** By `evaluation.suites`. */
    evaluations: TaskCount,
    /** By `evaluation.analyses`. */
    analyses: TaskCount,
  })
  .meta({ id: 'BesideTasks' });
export type BesideTasks = z.infer<typeof BesideTasks>;

/** What a run takes, before it starts. Bytes and seconds. */
export const Estimate = z
  .object({
    object: z.literal('fine_tuning.estimate'),
    model: z.string(),
    /** The resolved configuration; `steps` counts the rows that are trained on where all were looked at. */
    config: RunConfig,
    memory: z.object({
      total_bytes: z.int(),
      /** Of the training process at its peak, by what it is for. */
      parts: z.object({
        runtime: z.int(),
        graph: z.int(),
        weights: z.int(),
        trained: z.int(),
        activations: z.int(),
        head: z.int(),
        cache: z.int(),
      }),
    }),
    time: z.object({
      total_seconds: z.number(),
      parts: z.object({ start: z.number(), train: z.number(), evaluate: z.number(), export: z.number() }),
      /** Runs of this pool whose pace the estimate follows; 0: none has ended yet, and the time is a rough one. */
      measured_runs: z.int(),
    }),
    /** Not in `time`. */
    beside: BesideTasks,
    /** Micro-batches that a step is laid out in, as `rows x tokens`. */
    shapes: z.array(z.string()),
    tokens_per_step: z.number(),
    /** Workers of the pool that are there, and whether the run fits into their memory. */
    workers: z.array(z.object({ id: z.string(), memory_bytes: z.int(), fits: z.boolean() })),
    rehearsal: z.array(FileRehearsal),
  })
  .meta({ id: 'Estimate' });
export type Estimate = z.infer<typeof Estimate>;
