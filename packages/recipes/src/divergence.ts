import { AppError } from '@moraine/contract';
import type { TrainingRow } from '@moraine/data';
import type { StepResult, Trainer } from '@moraine/lm';

/** Losses at either end that are looked at together, so that one batch decides nothing. */
const WINDOW = 8;
/** Of the loss of guessing: a model that is so much worse knows less than nothing, and its updates made it so. */
const WORSE_THAN_GUESSING = 1.5;

/** Watches the training loss of a run. `before` are the losses up to where it goes on, so that it ends where it would have ended without a stop. */
export interface LossWatch {
  /** @throws AppError `loss_diverged`. */
  saw(step: Pick<StepResult, 'step' | 'loss' | 'gradNorm' | 'learningRate'>): void;
}

/**
 * Ends a run that diverged although its loss is a number: the median of the last eight losses is above one and a half times that of guessing, ln V nats for a
 * vocabulary of V, and above twice that of the first eight (or the first one, where it was lower) and a nat. A loss that starts there, as that of random weights,
 * does not end a run while it falls.
 */
export function watchLoss(vocabSize: number, before: readonly number[] = []): LossWatch {
  const first = before.slice(0, WINDOW);
  const last = before.slice(WINDOW).slice(-WINDOW);
  const guessing = Math.log(vocabSize);
  return {
    saw({ step, loss, gradNorm, learningRate }) {
      if (first.length < WINDOW) {
        first.push(loss);
        return;
      }
      last.push(loss);
      if (last.length > WINDOW) last.shift();
      if (last.length < WINDOW) return;
      const start = Math.min(first[0] ?? loss, median(first));
      const end = median(last);
      if (end <= Math.max(2 * start + 1, WORSE_THAN_GUESSING * guessing)) return;
      const rose = `rose from ${shown(start)} to ${shown(end)} nats a token, where guessing among ${vocabSize} tokens is ${shown(guessing)}`;
      throw new AppError(
        'loss_diverged',
        `Step ${step}: the training loss ${rose}; gradient norm ${shown(gradNorm)}, learning rate ${learningRate}.`,
        {
          hint: 'Lower the learning rate, lengthen the warm-up or clip gradients; checkpoints of before are unharmed.',
        },
      );
    },
  };
}

/** What of a run an error of its numbers is explained by. */
interface Explaining {
  /** The rows of a step by their files and lines, in words. */
  placesOf(step: number): string;
  trainer: Pick<Trainer, 'norms'>;
}

/** Calls a step; an error of its numbers gets the rows of the batch and what is largest of the trained variables. */
export function explained<T>(run: Explaining, step: number, call: () => T): T {
  try {
    return call();
  } catch (error) {
    if (!(error instanceof AppError) || (error.code !== 'nan_loss' && error.code !== 'loss_diverged')) throw error;
    const { hint, param } = error;
    const message = `${error.message} Its rows: ${run.placesOf(step)}. ${describeNorms(run.trainer.norms())}`;
    throw new AppError(error.code, message, {
      cause: error,
      ...(hint === null ? {} : { hint }),
      ...(param === null ? {} : { param }),
    });
  }
}

const NAMED = 3;

function describeNorms(norms: ReadonlyMap<string, number>): string {
  const broken = [...norms].filter(([, norm]) => !Number.isFinite(norm)).map(([name]) => name);
  if (broken.length > 0)
    return `${broken.length} of ${norms.size} trained tensors are no longer numbers: ${listed(broken, NAMED)}.`;
  const largest = [...norms].sort((a, b) => b[1] - a[1]).map(([name, norm]) => `${name} ${shown(norm)}`);
  return `Largest norms of what is trained: ${listed(largest, NAMED)}.`;
}

const LINES = 16;

/** Rows, numbered through all files, by the lines of the files that they are of. */
export function describePlaces(
  files: readonly (readonly TrainingRow[])[],
  names: readonly string[],
  rows: readonly number[],
): string {
  const places: string[] = [];
  let from = 0;
  for (const [i, file] of files.entries()) {
    const own = rows.filter((row) => row >= from && row < from + file.length);
    const lines = [...new Set(own.map((row) => file[row - from]?.line ?? 0))].sort((a, b) => a - b);
    if (lines.length > 0)
      places.push(`line${lines.length === 1 ? '' : 's'} ${listed(lines.map(String), LINES)} of ${names[i]}`);
    from += file.length;
  }
  return places.join('; ');
}

const listed = (items: readonly string[], most: number): string =>
  items.length > most ? `${items.slice(0, most).join(', ')} and ${items.length - most} more` : items.join(', ');

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const high = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 ? high : ((sorted[middle - 1] ?? high) + high) / 2;
}

const shown = (value: number): string =>
  Math.abs(value) >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
