import { z } from 'zod';
import { Advice, FileRehearsal } from './before-run.js';
import { Download } from './export-order.js';
import { ResumeCheck } from './resume-check.js';
import { DataRole, RunConfig } from './run-config.js';
import { AttemptStatus, RunState, RunStatus, StateReason, WorkerStatus } from './states.js';

/** The objects of the wire. Times are unix seconds, sizes bytes. Fields beyond the OpenAI specification are ours and optional to its clients. */
const seconds = z.int();

export const listOf = <T extends z.ZodType>(item: T) =>
  z.object({
    object: z.literal('list'),
    data: z.array(item),
    has_more: z.boolean(),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
  });

const deletedOf = <T extends string>(object: T) =>
  z.object({ id: z.string(), object: z.literal(object), deleted: z.literal(true) });
export const DeletedFile = deletedOf('file');
export const DeletedModel = deletedOf('model');
export const DeletedWebhook = deletedOf('webhook');

export const ErrorBody = z
  .object({
    error: z.object({
      message: z.string(),
      type: z.string(),
      param: z.string().nullable(),
      code: z.string().nullable(),
    }),
  })
  .meta({ id: 'Error' });
export type ErrorBody = z.infer<typeof ErrorBody>;

export const FileProblem = z.object({
  line: z.int(),
  key: z.string(),
  code: z.string(),
  message: z.string(),
  hint: z.string(),
});
export type FileProblem = z.infer<typeof FileProblem>;

export const FileObject = z
  .object({
    id: z.string(),
    object: z.literal('file'),
    bytes: z.int(),
    created_at: seconds,
    filename: z.string(),
    purpose: z.enum(['fine-tune', 'evals', 'fine-tune-results']),
    status: z.enum(['uploaded', 'processed', 'error']),
    status_details: z.string().nullable(),
    expires_at: seconds.nullable(),
    sha256: z.string(),
    format: z.enum(['chat', 'prompt_completion', 'text']).nullable(),
    rows: z.int().nullable(),
    problems: z.array(FileProblem),
  })
  .meta({ id: 'File' });
export type FileObject = z.infer<typeof FileObject>;

export const UploadObject = z
  .object({
    id: z.string(),
    object: z.literal('upload'),
    bytes: z.int(),
    created_at: seconds,
    filename: z.string(),
    purpose: z.string(),
    status: z.enum(['pending', 'completed', 'cancelled', 'expired']),
    expires_at: seconds,
    /** The file that it became; null before. */
    file: FileObject.nullable(),
  })
  .meta({ id: 'Upload' });
export type UploadObject = z.infer<typeof UploadObject>;

export const UploadPartObject = z
  .object({ id: z.string(), object: z.literal('upload.part'), created_at: seconds, upload_id: z.string() })
  .meta({ id: 'UploadPart' });
export type UploadPartObject = z.infer<typeof UploadPartObject>;

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
  })
  .meta({ id: 'FineTuningJob' });
export type RunObject = z.infer<typeof RunObject>;

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

export const ModelObject = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: seconds,
    owned_by: z.string(),
    /** `base`: registered by an operator; `adapter`: registered to start from; `fine_tuned`: the result of a run. */
    kind: z.enum(['base', 'adapter', 'fine_tuned']),
    parent: z.string().nullable(),
    run_id: z.string().nullable(),
    parameters: z.int().nullable(),
    context: z.int().nullable(),
    status: z
      .enum(['processing', 'ready', 'error'])
      .describe(
        '`processing`: being downloaded from a hub; `error`: could not be. Only what is `ready` can be trained.',
      ),
    source: z.string().nullable().describe('`hf:ORG/REPO@REV` of a base that the server downloaded.'),
    commit: z.string().nullable().describe('What that revision was then.'),
    download: z
      .object({
        bytes: z.int(),
        bytes_total: z.int().nullable(),
        waiting: z.string().nullable().describe('Why nothing comes at the moment.'),
      })
      .nullable()
      .describe('How far it is, until it is `ready`.'),
    error: z
      .object({ code: z.string(), message: z.string(), param: z.string().nullable() })
      .nullable()
      .describe('Why it could not be downloaded, and what to do.'),
  })
  .meta({ id: 'Model' });
export type ModelObject = z.infer<typeof ModelObject>;

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
    token_accuracy: z.number(),
    exact_match: z.number().nullable(),
    samples: z.array(z.object({ prompt: z.string(), expected: z.string(), generated: z.string() })),
  })
  .meta({ id: 'Evaluation' });
export type EvaluationObject = z.infer<typeof EvaluationObject>;

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
    attempt: z.int().nullable(),
  })
  .meta({ id: 'Worker' });
export type WorkerObject = z.infer<typeof WorkerObject>;

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
  /** Everything after `step` was undone (a new attempt resumes there, or the id is older than the buffer): read the metrics again. */
  z.object({ event: z.literal('reset'), data: z.object({ step: z.int(), attempt: z.int() }) }),
]);
export type StreamMessage = z.infer<typeof StreamMessage>;
