import { AppError, isDivergence } from '@moraine/contract';
import type { TrainingRow } from '@moraine/data';
import type { Trainer } from '@moraine/lm';

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
    if (!(error instanceof AppError) || !isDivergence(error.code)) throw error;
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

/** A loss or a norm as messages have it. */
export const shown = (value: number): string =>
  Math.abs(value) >= 1e5 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
