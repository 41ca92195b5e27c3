import { z } from 'zod';
import { RunState, RunStatus, StateReason } from '../states.js';
import { seconds } from './common.js';

export const EventObject = z
  .object({
    object: z.literal('fine_tuning.job.event'),
    id: z.string(),
    created_at: seconds,
    level: z.enum(['info', 'warn', 'error']),
    message: z.string(),
    type: z.enum(['message', 'metrics']),
    data: z.record(z.string(), z.unknown()),
  })
  .meta({ id: 'FineTuningJobEvent' });
export type EventObject = z.infer<typeof EventObject>;

/** What a measured value can be that is no number; JSON has no word for it. */
export const NotFinite = z.enum(['NaN', 'Infinity', '-Infinity']);
export type NotFinite = z.infer<typeof NotFinite>;

/** One metric over steps. A bucket covers `every` steps from `step` on; with `every` 1 all five values are the point itself. */
export const MetricSeries = z
  .object({
    name: z.string(),
    every: z.int(),
    points: z.array(
      z.object({ step: z.int(), n: z.int(), mean: z.number(), min: z.number(), max: z.number(), last: z.number() }),
    ),
    /** Steps, or the first of a bucket of `every`, whose value was no number; points leave them out. Absent where there are none. */
    not_finite: z.array(z.object({ step: z.int(), value: NotFinite })).optional(),
  })
  .meta({ id: 'MetricSeries' });
export type MetricSeries = z.infer<typeof MetricSeries>;

export const RunMetrics = z
  .object({
    object: z.literal('run.metrics'),
    run_id: z.string(),
    /** Resume `GET /v1/runs/{id}/stream` from here to miss nothing and see nothing twice. */
    last_event_id: z.string().nullable(),
    series: z.array(MetricSeries),
  })
  .meta({ id: 'RunMetrics' });
export type RunMetrics = z.infer<typeof RunMetrics>;

export const LogLine = z.object({
  seq: z.int(),
  attempt: z.int(),
  at: z.number(),
  level: z.string(),
  message: z.string(),
});
export type LogLine = z.infer<typeof LogLine>;

/** Messages of `GET /v1/runs/{id}/stream` by SSE event name; the SSE id is the Redis stream id. */
export const StreamMessage = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('metric'),
    data: z.object({
      step: z.int(),
      attempt: z.int(),
      at: z.number(),
      values: z.record(z.string(), z.number()),
      /** Metrics whose value was no number; absent where all were. */
      not_finite: z.record(z.string(), NotFinite).optional(),
    }),
  }),
  z.object({ event: z.literal('event'), data: EventObject }),
  z.object({
    event: z.literal('status'),
    data: z.object({
      status: RunStatus,
      state: RunState.nullable(),
      state_reason: StateReason.nullable(),
      attempt: z.int(),
    }),
  }),
  z.object({ event: z.literal('log'), data: LogLine }),
  /** Of an evaluation, not of a run: items that are stored. */
  z.object({ event: z.literal('progress'), data: z.object({ items: z.int(), total: z.int().nullable() }) }),
  /** Everything after `step` was undone (a new attempt resumes there, or the id is older than the buffer): read the metrics again. */
  z.object({ event: z.literal('reset'), data: z.object({ step: z.int(), attempt: z.int() }) }),
]);
export type StreamMessage = z.infer<typeof StreamMessage>;
