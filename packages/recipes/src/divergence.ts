import { AppError } from '@moraine/contract';
import type { TrainingRow } from '@moraine/data';
import type { StepResult, Trainer } from '@moraine/lm';

/** Steps, and supervised tokens, of a window at least: one batch decides nothing, nor do a few tokens. */
const STEPS = 8;
const TOKENS = 256;
/** So many times the loss of guessing is where no base starts and only updates lead; the second where the first step has too few tokens to tell where it started. */
const BEYOND = [3, 10] as const;

/** Watches the training loss of a run. */
export interface LossWatch {
  /** @throws AppError `loss_diverged`. */
  saw(step: Pick<StepResult, 'step' | 'loss' | 'gradNorm' | 'learningRate'>): void;
}

/**
 * Ends a run that diverged although its loss is a number. The median loss of its last steps is above twice its beginning and a nat, and
 * - above three times that of guessing, ln V nats for a vocabulary of V (ten times in steps of a few tokens); or
 * - above that of guessing, and not lower than that of as many steps before. As the beginning then counts the higher of the first step and the first steps, as the first
 *   rows may be easy ones.
 * A loss that starts there, as that of random weights, ends no run.
 * @param tokensPerStep supervised tokens of a step on average, which decide how many steps are looked at together
 * @param losses those up to where the run goes on, so that it ends where it would have ended without a stop
 */
export function watchLoss(vocabSize: number, tokensPerStep: number, losses: readonly number[] = []): LossWatch {
  const seen = [...losses];
  const window = Math.max(STEPS, Math.ceil(TOKENS / Math.max(1, tokensPerStep)));
  const guessing = Math.log(vocabSize);
  const beyond = BEYOND[tokensPerStep < TOKENS / STEPS ? 1 : 0];
  const isFar = (start: number, end: number): boolean => end > 2 * start + 1;
  return {
    saw({ step, loss, gradNorm, learningRate }) {
      seen.push(loss);
      if (seen.length < 2 * window) return;
      const [before, end] = [median(seen.slice(-2 * window, -window)), median(seen.slice(-window))];
      const [first, early] = [seen[0] ?? loss, median(seen.slice(0, window))];
      const isBeyond = isFar(first, end) && end > beyond * guessing;
      const rises = isFar(Math.max(first, early), end) && end > guessing && end >= before;
      if (!isBeyond && !rises) return;
      const rose = `rose from ${shown(first)} to ${shown(end)} nats a token, where guessing among ${vocabSize} tokens is ${shown(guessing)}`;
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
    const message = `${error.message} Its rows: ${run.placesOf(step)}.${largest(run.trainer)}`;
    throw new AppError(error.code, message, {
      cause: error,
      ...(hint === null ? {} : { hint }),
      ...(param === null ? {} : { param }),
    });
  }
}

const NAMED = 3;

/** Nothing where they cannot be read: what ended the run is what counts. */
function largest(trainer: Pick<Trainer, 'norms'>): string {
  try {
    return ` ${describeNorms(trainer.norms())}`;
  } catch {
    return '';
  }
}

function describeNorms(norms: ReadonlyMap<string, number>): string {
  const broken = [...norms].filter(([, norm]) => !Number.isFinite(norm)).map(([name]) => name);
  if (broken.length > 0)
    return `${broken.length} of ${norms.size} trained tensors are no longer numbers: ${listed(broken, NAMED)}.`;
  const sorted = [...norms].sort((a, b) => b[1] - a[1]).map(([name, norm]) => `${name} ${shown(norm)}`);
  return `Largest norms of what is trained: ${listed(sorted, NAMED)}.`;
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
