import type { RunConfig, TrainSpec } from '@moraine/contract';
import { countAgain, describeChoices, epochDraws, type ModelConfig, wholeWeights } from '@moraine/contract/plan';
import { createRunOrder, loadBaseTokenizer, type TrainingRow } from '@moraine/data';
import { type Adapter, createOptimizer, createTrainer, type TrainerOptions } from '@moraine/lm';
import { type Base, loadBase } from './base.js';
import { hashBase, readProgress } from './checkpoint.js';
import type { Control, Emit } from './control.js';
import { createEncode, encodeTraining, StoppedEncoding, sayShares, templateDay } from './encode.js';
import { createEvaluator, type Evaluator } from './evaluation.js';
import { describePlaces } from './explain-step.js';
import { pinnedRows } from './export/parity.js';
import { fingerprint } from './fingerprint.js';
import { adapterOf } from './method.js';
import { loadStart } from './start.js';
import { createStepBatches } from './step-batches.js';
import type { Run } from './train.js';

/** A run on this machine, ready to train, and what its exports are made of. */
export interface OpenedRun {
  run: Run;
  base: Base;
  adapter: Adapter | null;
  /** Ids of rows that the exports are compared on. */
  pinned: number[][];
}

/**
 * Reads everything that a run needs, encodes its rows and traces its steps. Returns null when it was stopped meanwhile. The caller disposes of
 * the trainer. @throws AppError `user_data`, `invalid_base`.
 */
export async function openRun(asked: TrainSpec, emit: Emit, control: Control): Promise<OpenedRun | null> {
  const begun = performance.now();
  control.progress?.('loading');
  const base = loadBase(asked.baseDir);
  for (const message of base.notes) emit({ type: 'message', level: 'warn', at: Date.now(), message });
  const baseHashes = await hashBase(asked.baseDir, base);
  const prepared = await prepare(asked, base.config, emit, control);
  if (prepared === null) return null;
  const { files, evaluator, spec, padId } = prepared;
  const { config } = spec;

  control.progress?.('loading');
  const print = await fingerprint(spec);
  const adapter = adapterOf(config.adapter);
  const start = await loadStart(spec, base, baseHashes);
  const rows = files.flat();
  const rowsOf = createRunOrder(
    config,
    files.map((file) => file.length),
  );
  const stepBatches = createStepBatches({
    rows,
    rowsOf,
    steps: config.steps,
    model: base.config,
    packing: config.packing,
    accumulation: config.accumulation,
    padId,
  });
  control.progress?.('tracing');
  const trainer = await createTrainer({
    config: base.config,
    weights: base.weights,
    adapter,
    whole: wholeWeights(config.adapter, base.config) ?? undefined,
    mode: config.mode,
    ...trainerOptions(config),
    shapes: stepBatches.shapes,
    evaluation: evaluator.shapes,
    generation: evaluator.generation,
  });
  try {
    if (start !== null) trainer.begin(start);
  } catch (error) {
    trainer.dispose();
    throw error;
  }
  const totalParameters = [...base.weights.values()].reduce(
    (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
    0,
  );
  const { length } = rows;
  const names = ['the training file', ...(spec.mixFiles ?? []).map(({ name }) => name)];
  const placesOf = (step: number): string => describePlaces(files, names, rowsOf(step));
  const supervised = rows.reduce((sum, { supervisedTokens }) => sum + supervisedTokens, 0);
  const tokensPerStep = (supervised / length) * config.batch_size;
  const sizes = { rows: length, vocabSize: base.config.vocabSize, tokensPerStep };
  const run = { spec, print, baseHashes, ...sizes, placesOf, stepBatches, trainer, evaluator, emit, control };
  const pinned = pinnedRows(evaluator.validationRows.length > 0 ? evaluator.validationRows : rows);
  return { run: { ...run, totalParameters, begun }, base, adapter, pinned };
}

interface Prepared {
  /** With its configuration counted on the rows that are trained on. */
  spec: TrainSpec;
  /** Rows of each training file. */
  files: TrainingRow[][];
  evaluator: Evaluator;
  padId: number;
}

/** Reads and encodes the files of a run. Returns null when it was stopped meanwhile. */
async function prepare(asked: TrainSpec, model: ModelConfig, emit: Emit, control: Control): Promise<Prepared | null> {
  const { config: planned, baseDir } = asked;
  const tokenizer = await loadBaseTokenizer(baseDir, model.vocabSize, templateDay(planned));
  const encode = createEncode({ config: planned, tokenizer, emit, control });
  try {
    const files = await encodeTraining(encode, asked.trainingFile, planned, asked.mixFiles);
    const drawn = epochDraws(
      planned.data_mix,
      files.map((file) => file.length),
    );
    const spec = { ...asked, config: countAgain(planned, drawn) };
    if (asked.resumeFrom === null) {
      sayShares(spec.config, files, asked.mixFiles, emit);
      sayChoices(spec.config, emit);
    }
    const evaluator = await createEvaluator(spec, model, tokenizer, encode, () => control.progress?.('evaluation'));
    return { spec, files, evaluator, padId: tokenizer.padId };
  } catch (error) {
    const reason = control.stopRequested();
    if (!(error instanceof StoppedEncoding) || reason === null) throw error;
    const step = resumedStep(asked);
    emit({ type: 'stopped', at: Date.now(), reason, ...step });
    return null;
  }
}

/** The values that the request left open, once it is known on how many rows the run trains. */
function sayChoices(config: RunConfig, emit: Emit): void {
  for (const message of describeChoices(config)) emit({ type: 'message', level: 'info', at: Date.now(), message });
}

/** Where the run stands while its files are read: at the checkpoint that it is to go on from. */
function resumedStep({ resumeFrom }: TrainSpec): { step: number; trainedTokens: number } {
  return resumeFrom === null ? { step: 0, trainedTokens: 0 } : readProgress(resumeFrom);
}

function trainerOptions({
  adapter,
  optimizer,
  schedule,
  steps,
  seed,
  regularize,
  attention_dropout: attentionDropout,
  data_mix: mix,
}: RunConfig): Pick<
  TrainerOptions,
  'optimizer' | 'schedule' | 'seed' | 'klToBase' | 'klOn' | 'hasSources' | 'attentionDropout'
> {
  const [beta1, beta2] = optimizer.betas;
  return {
    optimizer: createOptimizer({
      type: optimizer.type,
      beta1,
      beta2,
      eps: optimizer.eps,
      weightDecay: optimizer.weight_decay,
      decayPeak: optimizer.decay_with === 'schedule' ? optimizer.learning_rate : undefined,
      maxGradNorm: optimizer.max_grad_norm,
    }),
    schedule: {
      type: schedule.type,
      learningRate: optimizer.learning_rate,
      warmupSteps: schedule.warmup_steps,
      totalSteps: steps,
      minRatio: schedule.min_ratio,
      cooldownSteps: schedule.cooldown_steps,
      restart: restartOf(adapter),
    },
    seed,
    klToBase: regularize?.kl_to_base,
    attentionDropout,
    klOn: regularize?.on,
    hasSources: mix?.some(({ role }) => role === 'source'),
  };
}

/** When the learning rate warms up anew. */
function restartOf(adapter: RunConfig['adapter']): TrainerOptions['schedule']['restart'] {
  const restart = 'restart' in adapter ? adapter.restart : undefined;
  return restart && { every: restart.every, warmupSteps: restart.warmup };
}
