import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { AttemptEvent, TrainSpec } from '@moraine/contract';
import { checkResume } from './check-resume.js';
import type { Control, Emit } from './control.js';
import { writeExports } from './exports.js';
import { verifiesFrom } from './pace.js';
import { type OpenedRun, openRun } from './sft.js';
import { takeResult } from './take-result.js';
import { evaluateFiles, type TrainedRun, train } from './train.js';

type Finished = Extract<AttemptEvent, { type: 'finished' }>;

/**
 * Supervised fine-tuning of one run, from a validated specification to adapters on disk. Emits everything it does; ends with exactly one
 * `finished` or `stopped`, or throws. Yields to the event loop after every step.
 * @throws AppError `user_data`, `invalid_base`, `checkpoint_mismatch`, `nan_loss`.
 */
export async function runSft(asked: TrainSpec, emit: Emit, control: Control): Promise<void> {
  const opened = await openRun(asked, emit, control);
  if (opened === null) return;
  const ended = await trainToResult(opened).finally(() => opened.run.trainer.dispose());
  if (ended === null) return;
  const { trained, finished } = ended;
  if (asked.config.verify_resume === true && !(await verifyTrained(asked, trained, emit, control))) {
    const { step, trainedTokens } = finished;
    emit({ type: 'stopped', at: Date.now(), reason: control.stopRequested() ?? 'drain', step, trainedTokens });
    return;
  }
  emit(finished);
}

/** Trains and writes the exports. Returns null when it was stopped. */
async function trainToResult({
  run,
  base,
  adapter,
  pinned,
}: OpenedRun): Promise<{ trained: TrainedRun; finished: Finished } | null> {
  const trained = await train(run);
  if (trained === null) return null;
  const { step, trainedTokens, resultFile, stoppedEarly } = trained;
  const resultStep = takeResult(run, trained);
  await evaluateFiles(run);
  const { spec, trainer } = run;
  const onPass = () => run.control.progress?.('export');
  onPass();
  const made = { spec, base, adapter, trainer, rows: pinned, onPass };
  const exports = await writeExports(join(spec.outDir, 'exports'), made);
  const ended = { at: Date.now(), step, resultStep, stoppedEarly, trainedTokens };
  return { trained, finished: { type: 'finished', ...ended, exports, resultFile } };
}

/** Checks the resume from a checkpoint of this attempt, where there is one before its last. Returns false when it was stopped. */
async function verifyTrained(spec: TrainSpec, trained: TrainedRun, emit: Emit, control: Control): Promise<boolean> {
  const there = trained.saved.filter(({ dir }) => existsSync(dir));
  const until = there.at(-1);
  const enough = verifiesFrom(trained.step);
  const from = there.findLast(({ step }) => step <= enough) ?? there.find(({ step }) => step < trained.step);
  if (!from || until?.step !== trained.step) return true;
  const message = `Checks the resume: goes on from step ${from.step} once more`;
  emit({ type: 'message', level: 'info', at: Date.now(), message });
  const recorded = trained.recorded.filter(({ step }) => step > from.step);
  const check = await checkResume({ spec: { ...spec, resumeFrom: from.dir }, until, recorded }, control);
  if (check === null) return false;
  emit({ type: 'verified', at: Date.now(), check });
  return true;
}
