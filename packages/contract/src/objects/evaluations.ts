import { z } from 'zod';
import { EvaluationItem, EvaluationSummary } from '../suites/results.js';
import { Sampling } from '../suites/sampling.js';
import { SUBJECT_FIELDS, TASK_FIELDS } from './task-fields.js';

/** A model that is asked the items of a suite: a task of its own, beside those that a run makes of its files while it trains. */
export const EvaluationTaskObject = z
  .object({
    id: z.string(),
    object: z.literal('evaluation.task'),
    ...TASK_FIELDS,
    /** The run that asked for it in `evaluation.suites`; null for one that was created by itself. */
    made_for: z.string().nullable(),
    ...SUBJECT_FIELDS,
    suite: z.string(),
    file: z.string(),
    examples: z.string().nullable(),
    /** Null until the file is read where the request left it to the suite. */
    fewshot: z.int().nullable(),
    limit: z.int().nullable(),
    seed: z.int().nullable(),
    /** Null: one answer to each item, of the likeliest tokens. */
    sampling: Sampling.nullable(),
    /** Of what is asked; the same for evaluations that compare item by item. Null until the file is read. */
    items_sha256: z.string().nullable(),
    progress: z.object({ items: z.int(), total: z.int().nullable() }),
    /** Null until it has succeeded. */
    summary: EvaluationSummary.nullable(),
  })
  .meta({ id: 'EvaluationTask' });
export type EvaluationTaskObject = z.infer<typeof EvaluationTaskObject>;

/** Messages of `GET /v1/evaluations/{id}/stream` by SSE event name; the SSE id is how many items the reader has. */
export const EvaluationMessage = z.discriminatedUnion('event', [
  z.object({ event: z.literal('items'), data: z.array(EvaluationItem) }),
  z.object({ event: z.literal('evaluation'), data: EvaluationTaskObject }),
]);
export type EvaluationMessage = z.infer<typeof EvaluationMessage>;

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
    /** Of shares: who got which item right, and McNemar's exact two-sided p. Null for quantities, and of several samples to an item. */
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
