import { z } from 'zod';
import { RunAnalysis } from './analysis-keys.js';
import { MethodConfig } from './methods/registry.js';
import { OPTIMIZER_NAMES } from './optimizers.js';
import { DataRole, EvaluationDuring, NumericMode, RunResult, SCHEDULES } from './run-request.js';
import { SuiteRequest } from './suite-request.js';

/** The resolved form of a request: stored with the run and handed to the trainer; no key missing, no "auto" left. */
export const RunConfig = z
  .strictObject({
    base: z.string(),
    /** The adapter that it starts from, by the name in the request, with the sha256 of its folder and the run it is of; absent where it starts fresh. */
    start: z.strictObject({ model: z.string(), sha256: z.string(), run_id: z.string().optional() }).optional(),
    /** `target_modules` holds full module paths here, e.g. `model.layers.0.self_attn.q_proj`. */
    adapter: MethodConfig,
    optimizer: z.strictObject({
      type: z.literal(OPTIMIZER_NAMES),
      learning_rate: z.number(),
      betas: z.tuple([z.number(), z.number()]),
      eps: z.number(),
      weight_decay: z.number(),
      /** Present where it is asked for; absent: with the learning rate. */
      decay_with: z.literal('schedule').optional(),
      max_grad_norm: z.number(),
    }),
    schedule: z.strictObject({
      type: z.enum(SCHEDULES),
      warmup_steps: z.int(),
      min_ratio: z.number(),
      /** Present where there are some. */
      cooldown_steps: z.int().optional(),
    }),
    /** The learning rate as a multiple of the automatic one, which is what the OpenAI API speaks of. */
    learning_rate_multiplier: z.number().optional(),
    n_epochs: z.int(),
    /** Steps of the whole run: ceil(n_epochs x rows of an epoch / batch_size), capped by the request's max_steps; rows that are left out do not count. */
    steps: z.int(),
    /** What the numbers of steps follow from, so that they are counted again once it is known which rows are trained on. */
    follows: z
      .strictObject({
        /** Null where max_steps alone decides. */
        n_epochs: z.int().nullable(),
        max_steps: z.int().nullable(),
        /** Null where the request says warmup_steps. */
        warmup_ratio: z.number().nullable(),
        /** Evaluations of the run; null where the request says every_steps. */
        evaluations: z.int().nullable(),
      })
      .optional(),
    /** The day that a chat template takes for today, YYYY-MM-DD: rows do not depend on when the run is computed. */
    template_date: z.iso.date().optional(),
    batch_size: z.int(),
    /** Which of its values the request left to us, and why they are what they are; absent where it named all of them. */
    chosen: z
      .array(z.strictObject({ param: z.enum(['learning_rate', 'batch_size', 'n_epochs']), reason: z.string() }))
      .optional(),
    accumulation: z.int(),
    max_seq_len: z.int(),
    over_length: z.enum(['truncate', 'drop', 'error']),
    /** These two have a default because runs stored by earlier versions lack them. */
    packing: z.boolean().default(true),
    mode: NumericMode.default('plain'),
    /** Absent where none is dropped. */
    attention_dropout: z.number().optional(),
    /** Absent where the base is neither kept near nor compared with. */
    regularize: z.strictObject({ kl_to_base: z.number(), on: z.enum(['task', 'replay']) }).optional(),
    /** The training file and those that are trained on beside it; absent where there are none. */
    data_mix: z.array(z.strictObject({ file_id: z.string(), weight: z.number(), role: DataRole })).optional(),
    evaluation: z.strictObject({
      every_steps: z.int(),
      files: z.array(z.string()),
      /** The role of each file; all are targets where it is absent, in runs of earlier versions. */
      roles: z.record(z.string(), DataRole).optional(),
      /** Files that are evaluated on the way too; absent where there are none. */
      during: z.record(z.string(), EvaluationDuring).optional(),
      samples: z.int(),
      /** Absent where none is asked for. */
      suites: z.array(SuiteRequest).optional(),
      analyses: z.array(RunAnalysis).optional(),
    }),
    /** Absent where the run goes on to its last step. */
    early_stopping: z.strictObject({ patience: z.int(), min_delta: z.number() }).optional(),
    checkpoint: z.strictObject({
      every_steps: z.int(),
      every_seconds: z.number(),
      keep_last: z.int(),
      /** Absent in runs of earlier versions, which kept no best. */
      keep_best: z.union([z.boolean(), z.int()]).optional(),
      /** Absent where nobody asked. */
      result: RunResult.optional(),
    }),
    /** Present where the resume is checked at the end. */
    verify_resume: z.boolean().optional(),
    seed: z.int(),
    trainable_parameters: z.int(),
  })
  .meta({ id: 'RunConfig' });
export type RunConfig = z.infer<typeof RunConfig>;

/** How many of the lowest validation losses a run keeps the checkpoints of. */
export const keepBestCount = ({ keep_best = false }: Pick<RunConfig['checkpoint'], 'keep_best'>): number =>
  Number(keep_best);

/** Whether the result of a run is its checkpoint of the lowest validation loss; else that of its last step. */
export const takesBest = ({ checkpoint, early_stopping }: Pick<RunConfig, 'checkpoint' | 'early_stopping'>): boolean =>
  (checkpoint.result ?? (early_stopping === undefined ? 'last' : 'best')) === 'best';

/** A stored configuration; keys that an earlier version did not write get what it did. */
export function storedRunConfig(stored: unknown): RunConfig {
  const { packing = true, mode = 'plain', ...config } = stored as Partial<RunConfig>;
  return { ...(config as RunConfig), packing, mode };
}
