import { keepBestCount, type RunConfig } from '@moraine/contract';

/** What a run knows of its validations. A part of every checkpoint, so that a resumed run decides as the uninterrupted one. */
export interface Watched {
  /** The lowest validation loss so far; null before the first that is a number. */
  best: Validated | null;
  /** The last validation that counts as an improvement. */
  improved: Validated | null;
  /** Validations in a row since then. */
  without: number;
  /** The lowest losses, the best first, as many as the run keeps checkpoints of; absent where that is one or none. */
  lowest?: Validated[];
}

export interface Validated {
  step: number;
  /** Nats a supervised token. */
  loss: number;
}

export const UNWATCHED: Watched = { best: null, improved: null, without: 0 };

/**
 * What is known after one more validation. It is the best when no loss is lower: of equal ones the later, which has seen more rows. It is an improvement when it is lower than that
 * of the last improvement by more than `min_delta`, as Keras and Lightning count. A loss that is no number is neither.
 */
export function watchValidation(before: Watched, valid: Validated, config: RunConfig): Watched {
  const { early_stopping } = config;
  const limit = (before.improved?.loss ?? Number.POSITIVE_INFINITY) - (early_stopping?.min_delta ?? 0);
  const isBest = Number.isFinite(valid.loss) && valid.loss <= (before.best?.loss ?? Number.POSITIVE_INFINITY);
  const improves = valid.loss < limit;
  return {
    best: isBest ? valid : before.best,
    improved: improves ? valid : before.improved,
    without: improves ? 0 : before.without + 1,
    ...lowestAfter(before, valid, config),
  };
}

/** Of equal losses the later one counts more, as for the best. */
function lowestAfter(before: Watched, valid: Validated, { checkpoint }: RunConfig): Pick<Watched, 'lowest'> {
  const count = keepBestCount(checkpoint);
  if (count < 2) return {};
  const known = before.lowest ?? (before.best === null ? [] : [before.best]);
  const all = Number.isNaN(valid.loss) ? known : [...known, valid];
  return { lowest: all.toSorted((a, b) => a.loss - b.loss || b.step - a.step).slice(0, count) };
}

/** Whether a checkpoint is saved after a step because its validation is the best so far, or among as many as the run keeps. */
export const isAmongBest = ({ best, lowest }: Watched, step: number, { checkpoint }: RunConfig): boolean =>
  keepBestCount(checkpoint) > 0 && (lowest ?? (best === null ? [] : [best])).some((one) => one.step === step);

/** Why the run ends here, before its last step; null where it goes on. */
export function earlyEnd({ improved, without }: Watched, step: number, config: RunConfig): string | null {
  const { early_stopping: stopping, steps } = config;
  if (stopping === undefined || without < stopping.patience || step >= steps) return null;
  const by = stopping.min_delta > 0 ? ` by more than ${stopping.min_delta}` : '';
  const since = improved === null ? 'was no number' : `did not fall below ${shown(improved)}${by}`;
  const times = without === 1 ? 'evaluation' : `${without} evaluations`;
  return `Stopped early at step ${step} of ${steps}: in the last ${times} the validation loss ${since}.`;
}

const shown = ({ step, loss }: Validated): string => `${loss.toFixed(4)} (step ${step})`;
