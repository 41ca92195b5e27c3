import { z } from 'zod';
import { StateReason, WorkerStatus } from '../states.js';
import { seconds } from './common.js';

export const WorkerObject = z
  .object({
    id: z.string(),
    object: z.literal('worker'),
    name: z.string(),
    pool: z.string(),
    status: WorkerStatus,
    status_reason: z.string().nullable(),
    host: z.string(),
    pid: z.int(),
    version: z.string(),
    device: z.object({
      kind: z.enum(['cpu', 'gpu', 'none']),
      name: z.string(),
      tensorflow: z.string().nullable(),
      /** Instruction set by which its processor multiplies bfloat16, where mode `bf16` is faster; null: none, or not known. */
      bfloat16: z.string().nullable(),
    }),
    cores: z.int(),
    memory_bytes: z.int(),
    started_at: seconds,
    heartbeat_at: seconds,
    heartbeat_age_s: z.number(),
    run_id: z.string().nullable(),
    task_id: z.string().nullable().describe('What it does: a run, a check of one, an evaluation.'),
    attempt: z.int().nullable(),
  })
  .meta({ id: 'Worker' });
export type WorkerObject = z.infer<typeof WorkerObject>;

/** Workers of a pool by what they do. Those that have ended are not counted. */
const WorkerCounts = z.object({
  registering: z.int(),
  ready: z.int(),
  busy: z.int(),
  cordoned: z.int(),
  draining: z.int(),
  unhealthy: z.int(),
  lost: z.int(),
});

/** A pool: workers that take the same queue. Of all projects; what a number has nothing to count is 0. */
export const PoolObject = z
  .object({
    id: z.string().describe('Its name.'),
    object: z.literal('pool'),
    workers: WorkerCounts,
    queued: z.int().describe('Tasks that wait: runs, checks of runs, evaluations.'),
    runnable: z.int().describe('Those of them that may be taken now; the others wait a while after a fault.'),
    running: z.int(),
    paused: z.int(),
    slots_free: z.int().describe('Workers that are free to take a task.'),
    oldest_wait_s: z.number().describe('How long the task that has waited longest has, in seconds.'),
    desired: z.int().describe('Workers that would leave nothing waiting: `running` + `runnable`. For autoscalers.'),
  })
  .meta({ id: 'Pool' });
export type PoolObject = z.infer<typeof PoolObject>;

/** A task that waits for a worker. */
export const QueueEntry = z
  .object({
    id: z.string(),
    object: z.literal('queue.entry'),
    kind: z.string().describe('`train`: a run; `verify`: a check of one; `evaluate`: an evaluation.'),
    run_id: z.string().nullable().describe('The run that it is or that it checks; null for an evaluation.'),
    name: z.string().describe("That run's name; of an evaluation what it asks which model."),
    pool: z.string(),
    priority: z.int(),
    position: z.int().describe('Its place in its pool, all projects counted: 1 is next.'),
    queued_at: z.int().describe('Since when it waits, unix seconds.'),
    attempt: z.int().describe('The last attempt that it had; 0 before the first.'),
    reason: StateReason.describe('Why it waits.'),
  })
  .meta({ id: 'QueueEntry' });
export type QueueEntry = z.infer<typeof QueueEntry>;
