import type { CanaryRow } from './analyses/exposure.js';
import type { WeightRow } from './analyses/weights.js';
import type { AnalysisAsk } from './analysis-keys.js';
import type { ExportKind, ExportReport } from './export-order.js';
import type { ResumeCheck } from './resume-check.js';
import type { RunConfig } from './run-config.js';
import type { NumericMode } from './run-request.js';
import type { FailureCause } from './states.js';
import type { EvaluationItem } from './suites/results.js';
import type { Sampling } from './suites/sampling.js';

/** What the child of an attempt that trains is given. */
export interface TrainSpec {
  kind: 'train';
  taskId: string;
  attempt: number;
  config: RunConfig;
  /** A Hugging Face folder: config.json, safetensors, tokenizer.json. */
  baseDir: string;
  baseName: string;
  trainingFile: string;
  /** Files of `config.data_mix` after the training file, in that order; absent where there are none. */
  mixFiles?: { id: string; name: string; path: string }[];
  validationFile: string | null;
  /** Files of `config.evaluation.files`, in that order. */
  evaluationFiles: { id: string; name: string; path: string }[];
  /** Empty folder of this attempt; checkpoints and adapters appear below it as finished folders. */
  outDir: string;
  /** The folder of `config.start`, already on this machine: a checkpoint or an adapter. */
  startFrom?: string | null;
  /** A checkpoint folder to go on from, already on this machine. */
  resumeFrom: string | null;
  /** The folder of the best checkpoint that `resumeFrom` knows of; absent where it is gone or there is none. */
  bestFrom?: string | null;
  /** Go on from a checkpoint of another numeric mode: the losses will not be those of the uninterrupted run. */
  forceMode?: boolean;
  /** After this step the run is validated, saves a checkpoint and gives up its worker, without being over; absent or null, and where it is the last step or beyond: it goes on to the end. */
  holdAt?: number | null;
  /** Steps after which the run is validated beside those of its configuration: rungs that are on its way. */
  validatesAt?: readonly number[];
  /** Write base and adapter as one model too; absent: it is compared, and made when it is asked for. */
  keepsMerged?: boolean;
  /** TensorFlow's threads: cores of the host divided by its workers. */
  threads: number;
}

/** What a run recorded of a step. */
export interface StepRecord {
  step: number;
  loss: number;
  gradNorm: number;
}

/** What the child of an attempt is given that goes on from a checkpoint once more, to compare. */
export interface VerifySpec extends Omit<TrainSpec, 'kind' | 'resumeFrom'> {
  kind: 'verify';
  resumeFrom: string;
  /** The checkpoint to arrive at. */
  until: { step: number; dir: string };
  /** Every step in between. */
  recorded: StepRecord[];
}

/** How the runs of an experiment read the rows that they are scored on, so that what is scored beside them is the same. */
export interface ReadAs {
  /** Longest row in tokens; null: the context of the base. */
  maxSeqLen: number | null;
  overLength: 'truncate' | 'drop' | 'error';
  /** The day that a chat template takes for today, YYYY-MM-DD. */
  templateDate: string;
}

/** What the child of an attempt that evaluates a model is given. */
export interface EvaluateSpec {
  kind: 'evaluate';
  taskId: string;
  attempt: number;
  baseDir: string;
  /** A checkpoint's or an adapter's folder, already on this machine; null: the base alone. */
  tunedDir: string | null;
  /** Share of the update, 0 to 1. */
  lambda: number;
  suite: string;
  file: string;
  /** Rows that solved examples are taken from; null: the first ones of the file. */
  examplesFile: string | null;
  /** Null: as many as the suite is known by. */
  fewshot: number | null;
  limit: number | null;
  seed: number | null;
  /** Null: one answer to each item, of the likeliest tokens. */
  sampling: Sampling | null;
  /** Of plain rows that an experiment asks for; null or absent: whole rows, up to the context of the base. */
  readAs?: ReadAs | null;
  /** Index of the first item that is not stored yet. */
  from: number;
  outDir: string;
  threads: number;
}

/** What the child of an attempt that analyses a model is given. */
export interface AnalyseSpec {
  kind: 'analyse';
  taskId: string;
  attempt: number;
  /** As it was named: the source of its rows. */
  model: string;
  baseDir: string;
  /** A checkpoint's or an adapter's folder, already on this machine; null: the base alone. */
  tunedDir: string | null;
  /** The step that it is of; null where it has none. */
  step: number | null;
  /** Share of the update, 0 to 1. */
  lambda: number;
  ask: AnalysisAsk;
  /** The file of `ask`, already on this machine; null where it names none. */
  file: string | null;
  /** Index of the first row that is not stored yet. */
  from: number;
  outDir: string;
  threads: number;
}

interface JobSpecs {
  train: TrainSpec;
  verify: VerifySpec;
  evaluate: EvaluateSpec;
  analyse: AnalyseSpec;
}

/**
 * What a task can be, and a worker can do. A fine-tuning job is a task of kind `train`; `verify` checks that one can be gone on with; `evaluate` asks a
 * model the items of a suite; `analyse` measures what its update is like, or what it memorised.
 */
export type TaskKind = keyof JobSpecs;

/**
 * What crosses the pipe between a worker's supervisor and the child that computes (architecture: the child has no connections of its own).
 * Down: one `start`, then at most one `stop` of each reason, the last of which counts. Up: a stream of `AttemptEvent`, ended by exactly one `finished`, `stopped` or `failed`.
 * A union by `kind`; `JobSpec<'train'>` is one member.
 */
export type JobSpec<K extends TaskKind = TaskKind> = { [P in K]: JobSpecs[P] & { kind: P } }[K];

/** What a child does, for whoever watches over its progress: each phase may be without a sign of it for another time. */
export type Phase = 'loading' | 'encoding' | 'tracing' | 'step' | 'evaluation' | 'analysis' | 'checkpoint' | 'export';

/** What is asked of an attempt: `pause` and `drain` save where the run stands; what is cancelled does not go on. */
export type StopReason = 'cancel' | 'pause' | 'drain';

export type SupervisorMessage = { type: 'start'; spec: JobSpec } | { type: 'stop'; reason: StopReason };

/** Values measured at one step, by metric name (see METRICS). */
export type MetricValues = Record<string, number>;

export interface EvaluationResult {
  /** Id of the evaluated file. */
  fileId: string;
  name: string;
  step: number;
  rows: number;
  supervisedTokens: number;
  /** Mean negative log likelihood of the supervised tokens, in nats. */
  loss: number;
  /** Of the supervised text alone, in UTF-8, without the tokens that end an answer; null where that text is empty. */
  bitsPerByte: number | null;
  tokenAccuracy: number;
  /** Mean KL(p_base ‖ q) over the supervised tokens, nats; absent where the model is not compared with its base. */
  klToBase?: number;
  /** Share of rows whose whole answer, end token included, is what greedy decoding gives; null where rows are plain text. */
  exactMatch: number | null;
  samples: { prompt: string; expected: string; generated: string }[];
}

export interface CheckpointMetrics {
  train_loss?: number;
  train_mean_token_accuracy?: number;
  valid_loss?: number;
  valid_mean_token_accuracy?: number;
  full_valid_loss?: number;
  full_valid_mean_token_accuracy?: number;
}

export type AttemptEvent =
  | {
      type: 'ready';
      device: { kind: 'cpu' | 'gpu'; name: string; tensorflow: string; threads: number };
      startStep: number;
      steps: number;
      /** As it is trained, counted on the rows that are. */
      config: RunConfig;
      trainableParameters: number;
      totalParameters: number;
      rows: number;
      trainedTokens: number;
      secondsToReady: number;
      /** How the numbers are computed; in every mode but `eager` by a traced graph. */
      mode: NumericMode;
      /** Tracing of all signatures, loading of the graph, reading of the weights; milliseconds. */
      timings: { traceMs: number; loadMs: number; initMs: number };
    }
  | { type: 'metrics'; step: number; at: number; values: MetricValues }
  | { type: 'message'; level: 'info' | 'warn' | 'error'; at: number; message: string; data?: Record<string, unknown> }
  | { type: 'evaluation'; at: number; result: EvaluationResult }
  | { type: 'verified'; at: number; check: ResumeCheck }
  | {
      /** An evaluation has read its items and compiled its model; it scores them now. */
      type: 'evaluating';
      at: number;
      device: { kind: 'cpu' | 'gpu'; name: string; tensorflow: string; threads: number };
      /** Index of the first item that is scored. */
      from: number;
      /** All items, those that were scored before included. */
      total: number;
      /** Of what is asked and how it is judged: two evaluations with the same are compared item by item. */
      itemsSha256: string;
      /** Solved examples before each item. */
      fewshot: number;
      secondsToReady: number;
    }
  /** Scored items in the order of their index. */
  | { type: 'items'; at: number; items: EvaluationItem[] }
  | {
      /** An analysis has opened its model and knows what it measures. */
      type: 'analysing';
      at: number;
      device: { kind: 'cpu' | 'gpu'; name: string; tensorflow: string; threads: number };
      /** Index of the first row that is measured. */
      from: number;
      /** All rows, those that were measured before included. */
      total: number;
      /** Changed weights that are no linear layer and are not measured. */
      others: number;
      secondsToReady: number;
    }
  /** Measured rows in the order of their index. */
  | { type: 'analysis_rows'; at: number; rows: { index: number; row: WeightRow | CanaryRow }[] }
  | {
      type: 'checkpoint';
      step: number;
      at: number;
      dir: string;
      sizeBytes: number;
      metrics: CheckpointMetrics;
      /** Step of the best checkpoint of the run so far; null where none is kept as the best. */
      bestStep: number | null;
    }
  | {
      type: 'finished';
      at: number;
      step: number;
      trainedTokens: number;
      /**
       * Finished folders: `adapter` in the method's own format, `peft` where PEFT has an equal form, `merged` as a whole model; `dir` is null for what
       * is made when it is asked for.
       */
      exports: { kind: ExportKind; dir: string | null; sizeBytes: number; report: ExportReport }[];
      /** The step whose weights the exports are of: `step`, or that of the best checkpoint. */
      resultStep: number;
      /** Why the run ended before its last step; null where it did not. */
      stoppedEarly: string | null;
      /** CSV for result_files: step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy. */
      resultFile: string;
    }
  /** `hold` was asked for before the start: the run has come to the step that it is held at. */
  | { type: 'stopped'; at: number; reason: StopReason | 'hold'; step: number; trainedTokens: number }
  | {
      type: 'failed';
      at: number;
      step: number;
      cause: FailureCause;
      code: string;
      message: string;
      param: string | null;
    };

/** Every metric by its name on the wire: what it is and its unit. */
export const METRICS = {
  train_loss: 'Mean negative log likelihood of the supervised tokens of the step, nats',
  train_loss_target:
    'The same of the target rows of the step; where data_mix has a source and the step has such tokens',
  train_loss_source: 'The same of its source rows',
  train_mean_token_accuracy: 'Share of supervised tokens that are the argmax, 0 to 1',
  learning_rate: 'Learning rate used in the step',
  grad_norm: 'Global norm of the gradients before clipping',
  tokens_per_second: 'Real (unpadded) tokens per second of the step',
  supervised_tokens: 'Tokens that a loss was taken on in the step',
  step_ms: 'Wall time of the step, milliseconds',
  memory_mb: 'Resident memory of the training process, MB',
  trained_tokens: 'Real tokens trained on since the run began',
  kl_to_base: 'KL(p_base ‖ q) of the supervised tokens of the step that regularize is on, nats a token',
  valid_loss: 'Validation loss, nats per supervised token',
  valid_kl_to_base: 'KL(p_base ‖ q) of the validation tokens, nats a token; where regularize is set',
  valid_mean_token_accuracy: 'Validation token accuracy, 0 to 1',
} as const;
export type MetricName = keyof typeof METRICS;
