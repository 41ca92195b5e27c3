import { z } from 'zod';

/** One of several answers that were drawn for an item. */
export const EvaluationSample = z.object({
  answer: z.string(),
  verdict: z.enum(['right', 'wrong']),
  /** Why nothing could judge it; absent where it was judged. */
  problem: z.string().optional(),
});
export type EvaluationSample = z.infer<typeof EvaluationSample>;

/** What a model gave for one item, as it is stored. */
export const EvaluationItem = z
  .object({
    /** Place among the items of the evaluation, from 0. */
    index: z.int(),
    /** The row's own id, or its line. */
    id: z.string(),
    /** What the model read, without the examples before it. */
    prompt: z.string(),
    choices: z.array(z.string()).optional(),
    /** Log-probability of each choice after its context, natural logarithm: the sum over its tokens. */
    scores: z.array(z.number()).optional(),
    /** What the model gave, or the choice it prefers; of several samples the first right one, or else the first. Null where it is scored on what is there. */
    answer: z.string().nullable(),
    expected: z.string().nullable(),
    /** By name: 0 or 1 for a share, of several samples their mean; sums (`nats`, `tokens`, `bytes`) that a quantity is made of. */
    metrics: z.record(z.string(), z.number()),
    /** By the suite's own figure; of several samples right where one is. Null where it has no right and wrong. */
    verdict: z.enum(['right', 'wrong']).nullable(),
    /** Why nothing could judge the answer, which counts as wrong; absent where it was judged. */
    problem: z.string().optional(),
    /** What was drawn, in order; absent where one answer was written, and where a page does not include them. */
    samples: z.array(EvaluationSample).optional(),
  })
  .meta({ id: 'EvaluationItem' });
export type EvaluationItem = z.infer<typeof EvaluationItem>;

export const EvaluationFigure = z.object({
  value: z.number(),
  /** Of 95 %; null where none is computed. */
  interval: z.tuple([z.number(), z.number()]).nullable(),
  /** What guessing scores; null where nothing can be guessed. */
  chance: z.number().nullable(),
  /** Guessing would do as well: chance is inside the interval. Such a figure supports no claim. */
  at_chance: z.boolean(),
});
export type EvaluationFigure = z.infer<typeof EvaluationFigure>;

/** What came of an evaluation. */
export const EvaluationSummary = z
  .object({
    suite: z.string(),
    /** Items that were scored. */
    n: z.int(),
    /** The name of the figure that the suite is known by. */
    metric: z.string(),
    metrics: z.record(z.string(), EvaluationFigure),
  })
  .meta({ id: 'EvaluationSummary' });
export type EvaluationSummary = z.infer<typeof EvaluationSummary>;
