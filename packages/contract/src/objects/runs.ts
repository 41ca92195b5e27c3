import { z } from 'zod';
import { Advice, BesideTasks, FileRehearsal } from '../before-run.js';
import { Download } from '../export-order.js';
import { ResumeCheck } from '../resume-check.js';
import { RunConfig } from '../run-config.js';
import { DataRole } from '../run-request.js';
import { AttemptStatus, RunState, RunStatus, StateReason } from '../states.js';
import { seconds } from './common.js';

export const Progress = z.object({
  step: z.int(),
  steps: z.int(),
  trained_tokens: z.int(),
  tokens_per_second: z.number().nullable(),
  train_loss: z.number().nullable(),
  /** To the last step, at the pace of the attempt; null before there is one, and for a run that does not run. */
  seconds_remaining: z.number().nullable(),
  /** From where to where that may be: the pace of the whole attempt and that of late, and a tenth more on both sides. */
  seconds_remaining_range: z.tuple([z.number(), z.number()]).nullable(),
});

export const AttemptObject = z.object({
  attempt: z.int(),
  status: AttemptStatus,
  worker_id: z.string().nullable(),
  started_at: seconds,
  finished_at: seconds.nullable(),
  start_step: z.int(),
  cause: z.string().nullable(),
  message: z.string().nullable(),
});

/**
 * What the losses of a run say beside its status: `diverged`, training or validation ended far above where it began; `overfitted`, validation
 * ended well above its best.
 */
export const RunVerdict = z.object({ code: z.enum(['diverged', 'overfitted']), message: z.string() });
export type RunVerdict = z.infer<typeof RunVerdict>;

export const RunObject = z
  .object({
    id: z.string(),
    object: z.literal('fine_tuning.job'),
    created_at: seconds,
    started_at: seconds.nullable(),
    finished_at: seconds.nullable(),
    model: z.string(),
    fine_tuned_model: z.string().nullable(),
    organization_id: z.string(),
    status: RunStatus,
    hyperparameters: z.object({
      n_epochs: z.int(),
      batch_size: z.int(),
      learning_rate_multiplier: z.number().or(z.literal('auto')),
    }),
    training_file: z.string(),
    validation_file: z.string().nullable(),
    result_files: z.array(z.string()),
    trained_tokens: z.int().nullable(),
    error: z.object({ code: z.string(), message: z.string(), param: z.string().nullable() }).nullable(),
    seed: z.int(),
    estimated_finish: seconds.nullable(),
    integrations: z.array(z.never()).max(0),
    method: z.object({
      type: z.literal('supervised'),
      supervised: z.object({ hyperparameters: z.record(z.string(), z.unknown()) }),
    }),
    metadata: z.record(z.string(), z.string()),
    suffix: z.string().nullable(),
    /** What compares it with others, and as which arm; absent where it stands alone. */
    experiment: z.object({ id: z.string(), arm: z.string(), phase: z.enum(['search', 'final']) }).optional(),
    state: RunState.nullable(),
    state_reason: StateReason.nullable(),
    verdict: RunVerdict.nullable(),
    config: RunConfig,
    progress: Progress,
    attempts: z.array(AttemptObject),
    pool: z.string(),
    priority: z.int(),
    /** Downloads that exist: `adapter`, `peft`, `merged`. */
    exports: z.array(z.string()),
    /** The step that they are of: the last, or that of the best checkpoint; null before the run has succeeded. */
    result_step: z.int().nullable(),
    /** The same with what is known of each: how far it is from what was trained, and what other programs make of it. */
    downloads: z.array(Download),
    /** Whether the run repeats itself when it is gone on with; null where that was never asked. */
    resume_check: ResumeCheck.nullable(),
    /** Settings that would serve the run better; in the answers about one run, and to `dry_run`. */
    advice: z.array(Advice).optional(),
    /** What the run would learn from each of its files; in the answers to `dry_run`. */
    rehearsal: z.array(FileRehearsal).optional(),
    /** Tasks of their own that it asks for. In the answer to `dry_run`. */
    beside: BesideTasks.optional(),
  })
  .meta({ id: 'FineTuningJob' });
export type RunObject = z.infer<typeof RunObject>;

/** A run in a list of jobs: its configuration, most of a run's bytes, is in the answers about one run. */
export const ListedRun = RunObject.omit({ config: true }).meta({ id: 'ListedFineTuningJob' });
export type ListedRun = z.infer<typeof ListedRun>;

/** When a run was deleted, and until when it can be restored (null: no more). */
const Deletion = z.object({ deleted_at: seconds, restorable_until: seconds.nullable() });

/** A deletion, and what it takes away for good when it can no longer be taken back. */
export const DeletedRun = Deletion.extend({
  id: z.string(),
  object: z.literal('run.deleted'),
  deleted: z.literal(true),
  name: z.string(),
  removes: z.object({
    model: z.string().nullable(),
    result_files: z.array(z.string()),
    checkpoints: z.int(),
    downloads: z.int(),
    evaluations: z.int(),
    metric_points: z.int(),
    events: z.int(),
    log_lines: z.int(),
    bytes: z.int(),
  }),
  message: z.string(),
}).meta({ id: 'DeletedRun' });
export type DeletedRun = z.infer<typeof DeletedRun>;

/** A run as a row of a list: what one looks for and compares by, without its configuration. */
export const RunSummary = z
  .object({
    id: z.string(),
    object: z.literal('run.summary'),
    /** Its suffix as it was written, else the name in its metadata, else its id. */
    name: z.string(),
    created_at: seconds,
    started_at: seconds.nullable(),
    finished_at: seconds.nullable(),
    model: z.string(),
    status: RunStatus,
    state: RunState.nullable(),
    verdict: RunVerdict.nullable(),
    method: z.object({
      type: z.string(),
      name: z.string(),
      kind: z.string(),
      color: z.string(),
      rank: z.int().nullable(),
    }),
    trainable_parameters: z.int(),
    learning_rate: z.number(),
    progress: Progress,
    pool: z.string(),
    priority: z.int(),
    deletion: Deletion.optional().describe('Of a deleted run, in the list of those.'),
  })
  .meta({ id: 'RunSummary' });
export type RunSummary = z.infer<typeof RunSummary>;

/** What runs can be sorted by; a minus in front turns the order around. Runs that lack the value come last either way. */
export const RUN_SORTS = [
  'created',
  'finished',
  'name',
  'status',
  'base',
  'method',
  'parameters',
  'learning_rate',
  'progress',
  'loss',
  'speed',
] as const;
export type RunSort = (typeof RUN_SORTS)[number];
export const RunOrder = z.enum(RUN_SORTS.flatMap((sort) => [sort, `-${sort}`] as const));
export type RunOrder = z.infer<typeof RunOrder>;

export const CheckpointObject = z
  .object({
    id: z.string(),
    object: z.literal('fine_tuning.job.checkpoint'),
    created_at: seconds,
    step_number: z.int(),
    fine_tuned_model_checkpoint: z.string(),
    fine_tuning_job_id: z.string(),
    metrics: z.record(z.string(), z.number()),
    bytes: z.int(),
    sha256: z.string(),
    /** The one of the best validation loss. */
    is_best: z.boolean(),
  })
  .meta({ id: 'FineTuningJobCheckpoint' });
export type CheckpointObject = z.infer<typeof CheckpointObject>;

export const EvaluationObject = z
  .object({
    id: z.string(),
    object: z.literal('evaluation'),
    created_at: seconds,
    run_id: z.string(),
    file_id: z.string(),
    name: z.string(),
    /** `target`: what should be learned, `source`: what should be kept. */
    role: DataRole,
    step: z.int(),
    rows: z.int(),
    supervised_tokens: z.int(),
    loss: z.number(),
    /** Of the supervised text alone, without the tokens that end an answer; null in evaluations of earlier versions. */
    bits_per_byte: z.number().nullable(),
    token_accuracy: z.number(),
    exact_match: z.number().nullable(),
    /** Mean KL(p_base ‖ q) over the supervised tokens, nats a token; null where the run does not measure it (`regularize`). */
    kl_to_base: z.number().nullable(),
    samples: z.array(z.object({ prompt: z.string(), expected: z.string(), generated: z.string() })),
  })
  .meta({ id: 'Evaluation' });
export type EvaluationObject = z.infer<typeof EvaluationObject>;
