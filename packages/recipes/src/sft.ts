import { join } from 'node:path';
import type { AttemptEvent, CheckpointMetrics, RunConfig, TrainSpec } from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { countAgain, type ModelConfig, wholeWeights } from '@moraine/contract/plan';
import { createRowOrder, loadBaseTokenizer, type TrainingRow } from '@moraine/data';
import { device } from '@moraine/engine';
import { createOptimizer, createTrainer, type Trainer, type TrainerOptions } from '@moraine/lm';
import { loadBase } from './base.js';
import {
  type BaseHashes,
  fingerprint,
  folderBytes,
  hashBase,
  type LoadedCheckpoint,
  readCheckpoint,
  readProgress,
  writeCheckpoint,
} from './checkpoint.js';
import type { Control, Emit } from './control.js';
import { createEncode, StoppedEncoding, templateDay } from './encode.js';
import { createEvaluator, type Evaluator } from './evaluation.js';
import { writeExports } from './exports.js';
import { adapterOf } from './method.js';
import { checkpointsAt, evaluatesAt } from './pace.js';
import { createResultCsv } from './result-csv.js';
import { createStepBatches, type StepBatches } from './step-batches.js';
import { accuracyOf, checkpointMetrics, stepValues } from './step-metrics.js';

/**
 * Supervised fine-tuning of one run, from a validated specification to adapters on disk. Emits everything it does; ends with exactly one
 * `finished` or `stopped`, or throws. Yields to the event loop after every step.
 * @throws AppError `user_data`, `invalid_base`, `checkpoint_mismatch`, `nan_loss`.
 */
export async function runSft(asked: TrainSpec, emit: Emit, control: Control): Promise<void> {
  const begun = performance.now();
  const base = loadBase(asked.baseDir);
  for (const message of base.notes) emit({ type: 'message', level: 'warn', at: Date.now(), message });
  const baseHashes = await hashBase(asked.baseDir, base);
  const prepared = await prepare(asked, base.config, emit, control);
  if (prepared === null) return;
  const { rows, evaluator, spec, padId } = prepared;
  const { config } = spec;

  const adapter = adapterOf(config.adapter);
  const stepBatches = createStepBatches({
    rows,
    rowsOf: createRowOrder(rows.length, config.seed, config.batch_size),
    steps: config.steps,
    model: base.config,
    packing: config.packing,
    accumulation: config.accumulation,
    padId,
  });
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
    const totalParameters = [...base.weights.values()].reduce(
      (sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1),
      0,
    );
    const run = {
      spec,
      baseHashes,
      rows: rows.length,
      stepBatches,
      trainer,
      evaluator,
      emit,
      control,
      totalParameters,
      begun,
    };
    const trainedTokens = await train(run);
    if (trainedTokens === null) return;
    await evaluateFiles(run);
    const exports = writeExports(join(spec.outDir, 'exports'), { spec, base, adapter, trainer });
    emit({ type: 'finished', at: Date.now(), step: trainer.steps, exports, ...trainedTokens });
  } finally {
    trainer.dispose();
  }
}

interface Prepared {
  /** With its configuration counted on the rows that are trained on. */
  spec: TrainSpec;
  rows: TrainingRow[];
  evaluator: Evaluator;
  padId: number;
}

/** Reads and encodes the files of a run. Returns null when it was stopped meanwhile. */
async function prepare(asked: TrainSpec, model: ModelConfig, emit: Emit, control: Control): Promise<Prepared | null> {
  const { config: planned, baseDir } = asked;
  const tokenizer = await loadBaseTokenizer(baseDir, model.vocabSize, templateDay(planned));
  const encode = createEncode({ config: planned, tokenizer, emit, control });
  try {
    const rows = await encode('Training file', asked.trainingFile);
    const spec = { ...asked, config: countAgain(planned, rows.length) };
    const evaluator = await createEvaluator(spec, model, tokenizer, encode);
    return { spec, rows, evaluator, padId: tokenizer.padId };
  } catch (error) {
    const reason = control.stopRequested();
    if (!(error instanceof StoppedEncoding) || reason === null) throw error;
    const step = resumedStep(asked);
    emit({ type: 'stopped', at: Date.now(), reason, ...step });
    return null;
  }
}

/** Where the run stands while its files are read: at the checkpoint that it is to go on from. */
function resumedStep({ resumeFrom }: TrainSpec): { step: number; trainedTokens: number } {
  return resumeFrom === null ? { step: 0, trainedTokens: 0 } : readProgress(resumeFrom);
}

interface Run {
  spec: TrainSpec;
  baseHashes: BaseHashes;
  rows: number;
  stepBatches: StepBatches;
  trainer: Trainer;
  evaluator: Evaluator;
  emit: Emit;
  control: Control;
  totalParameters: number;
  begun: number;
}

/** Trains from the run's step, which a checkpoint may set, to the last. Returns null when it was stopped on the way. */
async function train(run: Run): Promise<{ trainedTokens: number; resultFile: string } | null> {
  const { spec, baseHashes, stepBatches, trainer, evaluator, emit, control } = run;
  const { config } = spec;
  const print = await fingerprint(spec);
  const resumed = resume(run, print);
  const result = createResultCsv(resumed?.resultCsv);
  let trainedTokens = resumed?.trainedTokens ?? 0;
  const startStep = trainer.steps;
  emit(readyEvent(run, trainedTokens));
  if (startStep === 0) await evaluateFiles(run);

  const checkpoints = join(spec.outDir, 'checkpoints');
  makeFolder(checkpoints);
  let savedAt = performance.now();
  let savedStep = startStep;
  const save = (metrics: CheckpointMetrics): void => {
    const at = { step: trainer.steps, trainedTokens };
    const state = { format: 1 as const, ...at, mode: config.mode, fingerprint: print, base: baseHashes };
    const dir = writeCheckpoint(checkpoints, state, trainer, result.text());
    emit({ type: 'checkpoint', step: trainer.steps, at: Date.now(), dir, sizeBytes: folderBytes(dir), metrics });
    savedAt = performance.now();
    savedStep = trainer.steps;
  };

  let metrics: CheckpointMetrics = {};
  while (trainer.steps < config.steps) {
    const reason = control.stopRequested();
    if (reason !== null) {
      if (reason === 'drain' && trainer.steps > savedStep) save(metrics);
      emit({ type: 'stopped', at: Date.now(), reason, step: trainer.steps, trainedTokens });
      return null;
    }
    const stepBegun = performance.now();
    const { batches, tokens } = stepBatches.at(trainer.steps + 1);
    const step = trainer.step(batches);
    const stepMs = performance.now() - stepBegun;
    trainedTokens += tokens;
    const measured = { tokens, stepMs, trainedTokens, memoryMb: process.memoryUsage.rss() / 2 ** 20 };
    const validates = evaluator.hasValidation && evaluatesAt(step.step, config);
    const valid = validates ? await evaluator.validate(trainer) : null;
    const values = stepValues(step, valid, measured);
    metrics = checkpointMetrics(step, valid);
    emit({ type: 'metrics', step: step.step, at: Date.now(), values });
    result.add({ step: step.step, trainLoss: step.loss, trainAccuracy: accuracyOf(step), valid });
    if (checkpointsAt(step.step, (performance.now() - savedAt) / 1000, config)) save(metrics);
    await new Promise(setImmediate);
  }
  return { trainedTokens, resultFile: result.text() };
}

/** Loads the checkpoint that the run is to go on from; null where there is none. */
function resume({ spec, baseHashes, trainer, emit }: Run, print: string): LoadedCheckpoint | null {
  const { mode } = spec.config;
  if (spec.resumeFrom === null) return null;
  const checkpoint = readCheckpoint(spec.resumeFrom, {
    fingerprint: print,
    base: baseHashes,
    mode,
    forceMode: spec.forceMode,
  });
  trainer.load(checkpoint.trainer);
  const before = checkpoint.mode ?? 'eager';
  if (before !== mode) {
    const message = `Goes on in mode ${mode} from a checkpoint of mode ${before}, as forced.`;
    emit({ type: 'message', level: 'warn', at: Date.now(), message });
  }
  return checkpoint;
}

function readyEvent({ spec, trainer, totalParameters, rows, begun }: Run, trainedTokens: number): AttemptEvent {
  const { traceMs, loadMs, initMs } = trainer.timings;
  return {
    type: 'ready',
    device: device(),
    startStep: trainer.steps,
    steps: spec.config.steps,
    config: spec.config,
    trainableParameters: trainer.parameterCount,
    totalParameters,
    rows,
    trainedTokens,
    secondsToReady: (performance.now() - begun) / 1000,
    mode: trainer.mode,
    timings: { traceMs, loadMs, initMs },
  };
}

function trainerOptions({
  adapter,
  optimizer,
  schedule,
  steps,
  seed,
  regularize,
}: RunConfig): Pick<TrainerOptions, 'optimizer' | 'schedule' | 'seed' | 'klToBase'> {
  const [beta1, beta2] = optimizer.betas;
  return {
    optimizer: createOptimizer({
      type: optimizer.type,
      beta1,
      beta2,
      eps: optimizer.eps,
      weightDecay: optimizer.weight_decay,
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
  };
}

/** When the learning rate warms up anew. */
function restartOf(adapter: RunConfig['adapter']): TrainerOptions['schedule']['restart'] {
  const restart = 'restart' in adapter ? adapter.restart : undefined;
  return restart && { every: restart.every, warmupSteps: restart.warmup };
}

async function evaluateFiles({ evaluator, trainer, emit }: Run): Promise<void> {
  for await (const result of evaluator.files(trainer, trainer.steps))
    emit({ type: 'evaluation', at: Date.now(), result });
}
