import { existsSync } from 'node:fs';
import { explain, takesBest } from '@moraine/contract';
import { readCheckpoint } from './checkpoint.js';
import type { Run, TrainedRun } from './train.js';

/**
 * Puts the weights into the trainer that are the result of a run, and returns their step: those of the best checkpoint where the run takes it,
 * else those of its last step. Says which they are, where that is a question.
 */
export function takeResult(run: Run, { step, watched, bestDir, stoppedEarly }: TrainedRun): number {
  const { spec, emit } = run;
  const say = (level: 'info' | 'warn', message: string): void =>
    emit({ type: 'message', level, at: Date.now(), message, data: { step } });
  if (stoppedEarly !== null) say('info', stoppedEarly);
  if (!takesBest(spec.config)) return step;
  const { best } = watched;
  if (best === null) {
    say('warn', `No validation loss was a number; the result is of step ${step}, the last.`);
    return step;
  }
  const problem = best.step === step ? null : loadBest(run, bestDir);
  if (problem !== null) {
    say(
      'warn',
      `The best checkpoint, of step ${best.step}, cannot be read (${problem}); the result is of step ${step}.`,
    );
    return step;
  }
  say('info', `The result is of step ${best.step}, where the validation loss was best (${best.loss.toFixed(4)}).`);
  return best.step;
}

/** Loads the best checkpoint; returns why it could not be, then nothing has changed. */
function loadBest({ spec, print, baseHashes, trainer }: Run, dir: string | null): string | null {
  if (dir === null || !existsSync(dir)) return 'its files are gone';
  try {
    const { mode } = spec.config;
    const expected = { fingerprint: print.print, parts: print.parts, base: baseHashes, mode };
    trainer.load(readCheckpoint(dir, { ...expected, forceMode: spec.forceMode }).trainer);
    return null;
  } catch (error) {
    return explain(error);
  }
}
