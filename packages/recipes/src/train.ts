import { join } from 'node:path';
import {
  AppError,
  type AttemptEvent,
  type CheckpointMetrics,
  explain,
  keepBestCount,
  type StepRecord,
  type StopReason,
  type TrainSpec,
  takesBest,
} from '@moraine/contract';
import { makeFolder } from '@moraine/contract/make-folder';
import { device } from '@moraine/engine';
import type { StepResult, Trainer } from '@moraine/lm';
import { type BaseHashes, folderBytes, type LoadedCheckpoint, readCheckpoint, writeCheckpoint } from './checkpoint.js';
import type { Control, Emit } from './control.js';
import { type LossWatch, watchLoss } from './divergence.js';
import type { Evaluator, Validation } from './evaluation.js';
import { explained } from './explain-step.js';
import { type Fingerprint, VALIDATION } from './fingerprint.js';
import { checkpointsAt, evaluatesAt, filesDuring } from './pace.js';
import { createResultCsv } from './result-csv.js';
import type { StepBatches } from './step-batches.js';
import { accuracyOf, checkpointMetrics, stepValues } from './step-metrics.js';
import { earlyEnd, isAmongBest, UNWATCHED, type Watched, watchValidation } from './watched.js';

/** A run that is ready to train. */
export interface Run {
  spec: TrainSpec;
  print: Fingerprint;
  baseHashes: BaseHashes;
  rows: number;
  vocabSize: number;
  /** Supervised tokens of a step on average. */
  tokensPerStep: number;
  /** The rows of a step by their files and lines, in words. */
  placesOf: (step: number) => string;
  stepBatches: StepBatches;
  trainer: Trainer;
  evaluator: Evaluator;
  emit: Emit;
  control: Control;
  totalParameters: number;
  begun: number;
}

/** How a run ended that was not stopped. */
export interface TrainedRun {
  /** The last step that was made. */
  step: number;
  trainedTokens: number;
  resultFile: string;
  watched: Watched;
  /** Folder of the best checkpoint; null where there is none. */
  bestDir: string | null;
  /** Why it ended before its last step; null where it did not. */
  stoppedEarly: string | null;
  /** The checkpoint that it went on from, if any, and those that it saved, oldest first. */
  saved: { step: number; dir: string }[];
  /** Every step since then, where the run is to check its resume. */
  recorded: StepRecord[];
}

/** Trains from the run's step, which a checkpoint may set, to the last or to an early end. Returns null when it was stopped on the way. */
export async function train(run: Run): Promise<TrainedRun | null> {
  const { spec, print, baseHashes, stepBatches, trainer, emit, control } = run;
  const { config } = spec;
  const keepsBest = keepBestCount(config.checkpoint) > 0;
  const resumed = resume(run);
  const result = createResultCsv(resumed?.resultCsv);
  const lossWatch = watchLoss(run.vocabSize, run.tokensPerStep, result.trainLosses());
  let trainedTokens = resumed?.trainedTokens ?? 0;
  let watched = watchedBefore(run, resumed);
  let bestDir = watched.best === null ? null : (spec.bestFrom ?? null);
  const startStep = trainer.steps;
  const saved = spec.resumeFrom === null ? [] : [{ step: startStep, dir: spec.resumeFrom }];
  const recorded: StepRecord[] = [];
  emit(readyEvent(run, trainedTokens));
  if (startStep === 0) await evaluateFiles(run);

  const checkpoints = join(spec.outDir, 'checkpoints');
  makeFolder(checkpoints);
  let savedAt = performance.now();
  let savedStep = startStep;
  const save = (metrics: CheckpointMetrics): void => {
    control.progress?.('checkpoint');
    const { steps: step } = trainer;
    const { print: fingerprint, parts } = print;
    const at = { step, trainedTokens, mode: config.mode };
    const state = {
      format: 1 as const,
      ...at,
      fingerprint,
      parts,
      base: baseHashes,
      watched,
      device: describeDevice(),
    };
    const dir = writeCheckpoint(checkpoints, state, trainer, result.text());
    saved.push({ step, dir });
    if (keepsBest && watched.best?.step === step) bestDir = dir;
    const bestStep = keepsBest ? (watched.best?.step ?? null) : null;
    emit({ type: 'checkpoint', step, at: Date.now(), dir, sizeBytes: folderBytes(dir), metrics, bestStep });
    savedAt = performance.now();
    savedStep = step;
  };

  let metrics: CheckpointMetrics = {};
  let stoppedEarly = earlyEnd(watched, startStep, config);
  while (trainer.steps < config.steps && stoppedEarly === null) {
    const reason = stopReasonOf(run);
    if (reason !== null) {
      if (reason !== 'cancel' && trainer.steps > savedStep) save(metrics);
      emit({ type: 'stopped', at: Date.now(), reason, step: trainer.steps, trainedTokens });
      return null;
    }
    control.progress?.('step');
    const stepBegun = performance.now();
    const { batches, tokens } = stepBatches.at(trainer.steps + 1);
    const step = explained(run, trainer.steps + 1, () => trainer.step(batches));
    const stepMs = performance.now() - stepBegun;
    trainedTokens += tokens;
    const measured = { tokens, stepMs, trainedTokens, memoryMb: process.memoryUsage.rss() / 2 ** 20 };
    if (config.verify_resume === true) recorded.push({ step: step.step, loss: step.loss, gradNorm: step.gradNorm });
    const valid = await validateAt(run, step.step);
    if (valid !== null) {
      watched = watchValidation(watched, { step: step.step, loss: valid.loss }, config);
      stoppedEarly = earlyEnd(watched, step.step, config);
    }
    metrics = checkpointMetrics(step, valid);
    emit({ type: 'metrics', step: step.step, at: Date.now(), values: stepValues(step, valid, measured) });
    result.add({ step: step.step, trainLoss: step.loss, trainAccuracy: accuracyOf(step), valid });
    stoppedEarly ??= endOfDivergence(run, step, lossWatch, takesBest(config) && bestDir !== null);
    const isDue = checkpointsAt(step.step, (performance.now() - savedAt) / 1000, config);
    const isSaved = isDue || isAmongBest(watched, step.step, config) || stoppedEarly !== null;
    // Before the checkpoint, so that whoever goes on from it has them; those of the end are of the result.
    if (step.step < config.steps && stoppedEarly === null) await evaluateOnTheWay(run, valid, isSaved);
    if (isSaved) save(metrics);
    await new Promise(setImmediate);
  }
  const ended = { step: trainer.steps, trainedTokens, resultFile: result.text() };
  return { ...ended, watched, bestDir, stoppedEarly, saved, recorded };
}

/** Why the run stops before its next step; null: it goes on. What somebody asks for meanwhile comes before a hold. */
function stopReasonOf({ spec, trainer, control }: Run): StopReason | 'hold' | null {
  return control.stopRequested() ?? (spec.holdAt === trainer.steps ? 'hold' : null);
}

/** Why a run that diverged ends with its best checkpoint; null where it did not. @throws AppError `loss_diverged` where it has none to end with. */
function endOfDivergence(run: Run, step: StepResult, watch: LossWatch, hasBest: boolean): string | null {
  try {
    explained(run, step.step, () => watch.saw(step));
    return null;
  } catch (error) {
    if (hasBest && error instanceof AppError && error.code === 'loss_diverged') return explain(error);
    throw error;
  }
}

/** The validation that is due after a step; null where none is. */
async function validateAt(run: Run, step: number): Promise<Validation | null> {
  const { evaluator, trainer } = run;
  return evaluator.hasValidation && isEvaluated(run, step) ? evaluator.validate(trainer, step) : null;
}

/** A rung that the run has passed before is one too: after a damaged checkpoint it comes to it again, and its score there was taken back. */
const isEvaluated = ({ spec }: Run, step: number): boolean =>
  evaluatesAt(step, spec.config) || step === spec.holdAt || (spec.validatesAt?.includes(step) ?? false);

/** The evaluation files that are due between the first and the last step; one that was just scored as the validation file is not scored again. */
async function evaluateOnTheWay(run: Run, valid: Validation | null, isSaved: boolean): Promise<void> {
  const { evaluator, trainer, spec, emit } = run;
  const { steps: step } = trainer;
  for (const place of filesDuring(spec.config, { steps: isEvaluated(run, step), checkpoints: isSaved })) {
    const known = place === evaluator.twin ? (valid?.result ?? null) : null;
    const result = known ?? (await evaluator.file(trainer, step, place));
    emit({ type: 'evaluation', at: Date.now(), result });
  }
}

/** Loads the checkpoint that the run is to go on from; null where there is none. */
export function resume({ spec, print, baseHashes, trainer, emit }: Run): LoadedCheckpoint | null {
  const { mode } = spec.config;
  if (spec.resumeFrom === null) return null;
  const checkpoint = readCheckpoint(spec.resumeFrom, {
    fingerprint: print.print,
    parts: print.parts,
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

/** What a checkpoint knows of validations, where they were of the same file: losses of two files are not compared. */
function watchedBefore({ print }: Run, resumed: LoadedCheckpoint | null): Watched {
  const isSameFile = resumed?.parts?.files[VALIDATION] === print.parts.files[VALIDATION];
  return (isSameFile ? resumed?.watched : undefined) ?? UNWATCHED;
}

/** Where a run is computed, as far as its bits may depend on it. */
export function describeDevice(): string {
  const { name, tensorflow, threads } = device();
  return `${name} (TensorFlow ${tensorflow}, ${threads} threads)`;
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

export async function evaluateFiles({ evaluator, trainer, emit }: Run): Promise<void> {
  for await (const result of evaluator.files(trainer, trainer.steps))
    emit({ type: 'evaluation', at: Date.now(), result });
}
