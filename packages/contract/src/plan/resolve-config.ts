import type { z } from 'zod';
import type { ModelShape } from '../architectures/tensor.js';
import { AppError } from '../errors.js';
import { AdapterRequest } from '../methods/registry.js';
import { OPTIMIZERS } from '../optimizers.js';
import type { RunConfig } from '../run-config.js';
import {
  type CreateRunRequest,
  type DataRole,
  type EvaluationDuring,
  EvaluationRequest,
  evaluationFilesOf,
  OptimizerRequest,
  ScheduleRequest,
} from '../run-request.js';
import { batchSizeAuto, explainChoices } from './choices.js';
import type { DataMix } from './data-mix.js';
import { learningRateAuto, twoDigits } from './learning-rate.js';
import { resolveAdapter } from './resolve-adapter.js';
import { resolveCheckpoints } from './resolve-checkpoints.js';
import { resolveOptimizer } from './resolve-optimizer.js';
import { fitSchedule, resolveSchedule, WARMUP_RATIO_AUTO } from './resolve-schedule.js';
import { resolveStarted, type Start, startConfig } from './start.js';

/** The keys of a request that decide a run's numbers; where its files come from is no concern here. */
export type RunRequest = Pick<
  z.output<typeof CreateRunRequest>,
  | 'method'
  | 'hyperparameters'
  | 'adapter'
  | 'optimizer'
  | 'schedule'
  | 'max_steps'
  | 'batch_size'
  | 'accumulation'
  | 'max_seq_len'
  | 'over_length'
  | 'packing'
  | 'mode'
  | 'attention_dropout'
  | 'regularize'
  | 'data_mix'
  | 'evaluation'
  | 'early_stopping'
  | 'checkpoint'
  | 'verify_resume'
>;

export interface ResolveInput {
  /** Parsed. */
  request: RunRequest;
  baseName: string;
  base: ModelShape;
  /** Rows of an epoch: of the training file, or `epochDraws` of a mix. */
  rows: number;
  /** What `mixedFilesOf` makes of the request. */
  mix?: DataMix | undefined;
  /** Whether there is a validation file; default false. */
  validates?: boolean | undefined;
  seed: number;
  /** The day that a chat template takes for today, YYYY-MM-DD. */
  templateDate: string;
  /** The adapter that it starts from; absent: a fresh one. */
  start?: Start | undefined;
}

/** What an absent object stands for: the defaults of its keys. */
const ADAPTER_AUTO = AdapterRequest.parse({});
const OPTIMIZER_AUTO = OptimizerRequest.parse({});
const SCHEDULE_AUTO = ScheduleRequest.parse({});
const EVALUATION_AUTO = EvaluationRequest.parse({});
const EPOCHS_AUTO = 3;
const EVALUATIONS_AUTO = 10;
/**
 * Every value of a run, none of them "auto", from the request, the base and the number of rows. Pure: the same input gives the same run.
 * steps = ceil(n_epochs x rows / batch_size), at most max_steps: epochs are laid end to end, so a step may span two of them. With
 * max_steps alone the epochs follow from it.
 * @throws AppError naming the key, its value and what to do.
 */
export function resolveConfig(input: ResolveInput): RunConfig {
  const { request, rows, base } = input;
  const config = resolveValues(input);
  const chosen = explainChoices(config, {
    learning_rate: (request.optimizer ?? OPTIMIZER_AUTO).learning_rate === 'auto',
    batch_size: numberOf(request, 'batch_size') === null,
    n_epochs: numberOf(request, 'n_epochs') === null,
    rows: Math.round(rows),
    hiddenSize: base.hiddenSize,
  });
  return chosen.length === 0 ? config : { ...config, chosen };
}

function resolveValues(input: ResolveInput): RunConfig {
  const { request, baseName, base, rows, mix, validates = false, seed, templateDate, start } = input;
  const nEpochs = numberOf(request, 'n_epochs');
  const batchSize = numberOf(request, 'batch_size') ?? batchSizeAuto(Math.round(rows));
  const accumulation = request.accumulation ?? 1;
  if (batchSize % accumulation !== 0) {
    throw invalid(
      'accumulation',
      `${accumulation}, which does not divide batch_size ${batchSize}`,
      `Take a divisor of ${batchSize}; a step's rows are computed in about so many parts.`,
    );
  }
  const isFromSteps = nEpochs === null && request.max_steps !== undefined;
  const epochs = isFromSteps ? Math.ceil(((request.max_steps ?? 1) * batchSize) / rows) : (nEpochs ?? EPOCHS_AUTO);
  const follows: NonNullable<RunConfig['follows']> = {
    n_epochs: isFromSteps ? null : epochs,
    max_steps: request.max_steps ?? null,
    warmup_ratio:
      request.schedule?.warmup_steps === undefined ? (request.schedule?.warmup_ratio ?? WARMUP_RATIO_AUTO) : null,
    evaluations: (request.evaluation ?? EVALUATION_AUTO).every_steps === 0 ? EVALUATIONS_AUTO : null,
  };
  const steps = stepsOf(follows, rows, batchSize);

  const maxSeqLen = request.max_seq_len ?? base.maxPositions;
  if (maxSeqLen > base.maxPositions) {
    throw invalid(
      'max_seq_len',
      `${maxSeqLen}, but ${baseName} reads at most ${base.maxPositions} tokens`,
      `Take at most ${base.maxPositions}.`,
    );
  }
  const asked = request.adapter ?? ADAPTER_AUTO;
  const { adapter, trainableParameters } = start ? resolveStarted(asked, start, base) : resolveAdapter(asked, base);
  const optimizer = request.optimizer ?? OPTIMIZER_AUTO;
  const automatic = twoDigits(learningRateAuto(adapter, base.hiddenSize) * OPTIMIZERS[optimizer.type].rate);
  const rate = resolveLearningRate(request, automatic);
  const evaluation = resolveEvaluation(request, steps);
  return {
    base: baseName,
    ...(start ? { start: startConfig(start) } : {}),
    adapter,
    optimizer: resolveOptimizer(optimizer, rate.learningRate),
    schedule: resolveSchedule(request.schedule ?? SCHEDULE_AUTO, steps, adapter),
    learning_rate_multiplier: rate.multiplier,
    n_epochs: epochs,
    steps,
    follows,
    template_date: templateDate,
    batch_size: batchSize,
    accumulation,
    max_seq_len: maxSeqLen,
    over_length: request.over_length ?? 'truncate',
    packing: request.packing ?? true,
    mode: request.mode ?? 'plain',
    ...(request.attention_dropout ? { attention_dropout: request.attention_dropout } : {}),
    ...resolveRegularizer(request, mix),
    ...(mix ? { data_mix: mix.map(({ file_id, weight, role }) => ({ file_id, weight, role })) } : {}),
    evaluation,
    ...resolveCheckpoints(request, { validates, validations: Math.ceil(steps / evaluation.every_steps), steps }),
    seed,
    trainable_parameters: trainableParameters,
  };
}

const stepsOf = (
  { n_epochs: epochs, max_steps: most }: NonNullable<RunConfig['follows']>,
  rows: number,
  batchSize: number,
): number =>
  Math.min(
    epochs === null ? Number.POSITIVE_INFINITY : Math.ceil((epochs * rows) / batchSize),
    most ?? Number.POSITIVE_INFINITY,
  );

/** The configuration on the rows that are trained on: what follows from their number is counted again, nothing else changes. */
export function countAgain(config: RunConfig, rows: number): RunConfig {
  const { follows, batch_size: batchSize, schedule, evaluation } = config;
  if (follows === undefined) return config;
  const steps = stepsOf(follows, rows, batchSize);
  const { n_epochs: epochs, warmup_ratio: ratio, evaluations } = follows;
  const warmup = ratio === null ? Math.min(schedule.warmup_steps, steps) : Math.round(ratio * steps);
  return {
    ...config,
    n_epochs: epochs ?? Math.ceil((steps * batchSize) / rows),
    steps,
    schedule: fitSchedule({ ...schedule, warmup_steps: warmup }, steps),
    evaluation: evaluations === null ? evaluation : { ...evaluation, every_steps: Math.ceil(steps / evaluations) },
  };
}

/** @throws AppError `invalid_value` where it is to be taken on source rows and there are none. */
function resolveRegularizer({ regularize }: RunRequest, mix: DataMix | undefined): Pick<RunConfig, 'regularize'> {
  if (!regularize) return {};
  if (regularize.on === 'replay' && !mix?.some(({ role }) => role === 'source')) {
    throw invalid(
      'regularize.on',
      'replay, but no file of data_mix has the role source',
      'Add such a file to data_mix, or take task.',
    );
  }
  return { regularize };
}

type Hyperparameter = 'n_epochs' | 'batch_size' | 'learning_rate_multiplier';

/** A value that may stand in three places; null is "auto" or absent. Two places with different values are refused. */
function numberOf(request: RunRequest, key: Hyperparameter): number | null {
  const places: [string, number | 'auto' | undefined][] = [
    [`method.supervised.hyperparameters.${key}`, request.method?.supervised?.hyperparameters?.[key]],
    [`hyperparameters.${key}`, request.hyperparameters?.[key]],
    ...(key === 'batch_size' ? ([['batch_size', request.batch_size]] as [string, number | undefined][]) : []),
  ];
  const given = places.filter(([, value]) => value !== undefined);
  const [first, ...others] = given;
  if (!first) return null;
  const other = others.find(([, value]) => value !== first[1]);
  if (other) {
    throw invalid(
      other[0],
      `${JSON.stringify(other[1])}, but '${first[0]}' is ${JSON.stringify(first[1])}`,
      'Say it once.',
    );
  }
  return typeof first[1] === 'number' ? first[1] : null;
}

function resolveLearningRate(request: RunRequest, automatic: number): { learningRate: number; multiplier: number } {
  const multiplier = numberOf(request, 'learning_rate_multiplier');
  const absolute = request.optimizer?.learning_rate ?? 'auto';
  if (absolute === 'auto') return { learningRate: automatic * (multiplier ?? 1), multiplier: multiplier ?? 1 };
  if (multiplier !== null) {
    throw invalid(
      'optimizer.learning_rate',
      `${absolute}, but learning_rate_multiplier is ${multiplier}`,
      `Give one of them; the multiplier scales the automatic rate, here ${automatic}.`,
    );
  }
  return { learningRate: absolute, multiplier: Number((absolute / automatic).toPrecision(6)) };
}

function resolveEvaluation(request: RunRequest, steps: number): RunConfig['evaluation'] {
  const { every_steps: every, samples, suites = [], analyses = [] } = request.evaluation ?? EVALUATION_AUTO;
  const roles = new Map<string, DataRole>();
  const during = new Map<string, EvaluationDuring>();
  for (const [index, { file_id, role, during: when }] of evaluationFilesOf(request).entries()) {
    const before = roles.get(file_id);
    if (before !== undefined && before !== role)
      throw invalid(
        `evaluation.files[${index}]`,
        `'${file_id}' as ${role}, which is named as ${before} before`,
        'Give a file one role.',
      );
    if (before !== undefined && during.get(file_id) !== when)
      throw invalid(
        `evaluation.files[${index}].during`,
        `${when ?? 'absent'} for '${file_id}', which is named before with ${during.get(file_id) ?? 'none'}`,
        'Name a file once.',
      );
    roles.set(file_id, role);
    if (when !== undefined) during.set(file_id, when);
  }
  return {
    every_steps: every === 0 ? Math.ceil(steps / EVALUATIONS_AUTO) : every,
    files: [...roles.keys()],
    roles: Object.fromEntries(roles),
    ...(during.size === 0 ? {} : { during: Object.fromEntries(during) }),
    samples,
    ...(suites.length === 0 ? {} : { suites }),
    ...(analyses.length === 0 ? {} : { analyses }),
  };
}

const invalid = (param: string, problem: string, hint: string): AppError =>
  new AppError('invalid_value', `'${param}' is ${problem}.`, { param, hint });
