import type { RunConfig } from '@moraine/contract';
import { createRandom, epochOrder } from './random.js';

/** A file that rows are drawn of. */
export interface DrawnFile {
  rows: number;
  /** How many of the draws are of this file, relative to the others. */
  weight: number;
}

/**
 * Which rows a step trains on: a window of `batchSize` over the epochs' shuffled orders, laid end to end. A pure function of
 * (seed, step), so equal seeds give every method the same data, and a resumed run needs no cursor but its step.
 * Steps count from 1; returns row numbers.
 */
export function createRowOrder(rows: number, seed: number, batchSize: number): (step: number) => number[] {
  return createMixedOrder([{ rows, weight: 1 }], seed, batchSize);
}

/** The order of a run's rows, given those of each of its training files that are trained on. */
export const createRunOrder = (
  { data_mix: mix, seed, batch_size: batchSize }: Pick<RunConfig, 'data_mix' | 'seed' | 'batch_size'>,
  rows: readonly number[],
): ((step: number) => number[]) =>
  createMixedOrder(
    rows.map((count, i) => ({ rows: count, weight: mix?.[i]?.weight ?? 1 })),
    seed,
    batchSize,
  );

/**
 * The same over several files, whose rows are numbered one file after the other. The draws of a file are spread evenly: of any first n draws it
 * has its share, to within one for each file before it. Each file is gone through in shuffled orders of its own.
 */
export function createMixedOrder(
  files: readonly DrawnFile[],
  seed: number,
  batchSize: number,
): (step: number) => number[] {
  let first = 0;
  const readers = files.map(({ rows }, i) => {
    const rowAt = createReader(rows, seedOf(seed, i));
    const offset = first;
    first += rows;
    return (at: number) => offset + rowAt(at);
  });
  return (step) =>
    Array.from({ length: batchSize }, (_, i) => {
      const { file, at } = placeOf(files, (step - 1) * batchSize + i);
      return readers[file]?.(at) ?? 0;
    });
}

/**
 * Which file draw `draw` (from 0) is of, and which of that file's draws it is. Of n draws that are left to a file and those behind it, it gets
 * the first ceil(n · weight / their weights) and they the rest, so neither depends on what was drawn before.
 */
function placeOf(files: readonly DrawnFile[], draw: number): { file: number; at: number } {
  let left = draw;
  let weights = files.reduce((sum, { weight }) => sum + weight, 0);
  for (const [file, { weight }] of files.entries()) {
    if (file === files.length - 1) break;
    // A product that is a whole number but for its rounding is one.
    const own = (draws: number): number => Math.max(0, Math.ceil((draws * weight) / weights - 1e-9));
    const before = own(left);
    if (own(left + 1) > before) return { file, at: before };
    left -= before;
    weights -= weight;
  }
  return { file: files.length - 1, at: left };
}

/** Row at a place of a file's shuffled orders laid end to end. */
function createReader(rows: number, seed: number): (at: number) => number {
  let epoch = -1;
  let order: ArrayLike<number> = [];
  return (at) => {
    const epochOfRow = Math.floor(at / rows);
    if (epochOfRow !== epoch) {
      epoch = epochOfRow;
      order = epochOrder(rows, seed, epoch);
    }
    return order[at % rows] ?? 0;
  };
}

/** A seed for each file; the first has the run's own. */
const seedOf = (seed: number, file: number): number =>
  file === 0 ? seed : createRandom(seed, 0x0f11e000 + file).int(0, 2 ** 31 - 1);
