import { z } from 'zod';
import { RunState, RunStatus, StateReason } from '../states.js';
import { EvaluationSummary } from '../suites/results.js';
import { seconds } from './common.js';
import { AttemptObject } from './runs.js';

/** A model that is asked the items of a suite: a task of its own, beside those that a run makes of its files while it trains. */
export const EvaluationTaskObject = z
  .object({
    id: z.string(),
    object: z.literal('evaluation.task'),
    created_at: seconds,
    started_at: seconds.nullable(),
    finished_at: seconds.nullable(),
    status: RunStatus,
    state: RunState.nullable(),
    state_reason: StateReason.nullable(),
    error: z.object({ code: z.string(), message: z.string(), param: z.string().nullable() }).nullable(),
    /** The run that asked for it in `evaluation.suites`; null for one that was created by itself. */
    made_for: z.string().nullable(),
    /** As it was named. */
    model: z.string(),
    base: z.string(),
    /** What was trained on the base; null where the base alone is asked. */
    tuned: z
      .object({
        /** The run that it is of; null for a registered adapter. */
        run_id: z.string().nullable(),
        /** Of its folder, and the step that it is of: what the figures are bound to. */
        sha256: z.string(),
        step: z.int().nullable(),
      })
      .nullable(),
    lambda: z.number(),
    suite: z.string(),
    file: z.string(),
    examples: z.string().nullable(),
    /** Null until the file is read where the request left it to the suite. */
    fewshot: z.int().nullable(),
    limit: z.int().nullable(),
    seed: z.int().nullable(),
    /** Of what is asked; the same for evaluations that compare item by item. Null until the file is read. */
    items_sha256: z.string().nullable(),
    progress: z.object({ items: z.int(), total: z.int().nullable() }),
    /** Null until it has succeeded. */
    summary: EvaluationSummary.nullable(),
    metadata: z.record(z.string(), z.string()),
    attempts: z.array(AttemptObject),
    pool: z.string(),
    priority: z.int(),
  })
  .meta({ id: 'EvaluationTask' });
export type EvaluationTaskObject = z.infer<typeof EvaluationTaskObject>;

const Pair = z.object({
  index: z.int(),
  id: z.string(),
  prompt: z.string(),
  expected: z.string().nullable(),
  value: z.number(),
  baseline: z.number(),
  answer: z.string().nullable(),
  baseline_answer: z.string().nullable(),
});

/** Two evaluations of the same items. */
export const EvaluationComparison = z
  .object({
    object: z.literal('evaluation.comparison'),
    evaluation: z.string(),
    baseline: z.string(),
    suite: z.string(),
    metric: z.string(),
    n: z.int(),
    value: z.number(),
    baseline_value: z.number(),
    /** `value − baseline_value`, with the 95 % interval of a paired bootstrap over items: 10,000 resamples, seed 0. */
    difference: z.number(),
    interval: z.tuple([z.number(), z.number()]),
    /** Of shares: who got which item right, and McNemar's exact two-sided p. Null for quantities. */
    verdicts: z
      .object({
        both_right: z.int(),
        only_evaluation: z.int(),
        only_baseline: z.int(),
        both_wrong: z.int(),
        p: z.number(),
      })
      .nullable(),
    /** The items that differ most, at most `limit` of them; of equal ones the first. */
    items: z.array(Pair),
  })
  .meta({ id: 'EvaluationComparison' });
export type EvaluationComparison = z.infer<typeof EvaluationComparison>;
