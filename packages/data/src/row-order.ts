import { epochOrder } from './random.js';

/**
 * Which rows a step trains on: a window of `batchSize` over the epochs' shuffled orders, laid end to end. A pure function of
 * (seed, step), so equal seeds give every method the same data, and a resumed run needs no cursor but its step.
 * Steps count from 1; returns row numbers.
 */
export function createRowOrder(rows: number, seed: number, batchSize: number): (step: number) => number[] {
  let epoch = -1;
  let order: ArrayLike<number> = [];
  return (step) => {
    const picked: number[] = [];
    for (let i = (step - 1) * batchSize; i < step * batchSize; i++) {
      const epochOfRow = Math.floor(i / rows);
      if (epochOfRow !== epoch) {
        epoch = epochOfRow;
        order = epochOrder(rows, seed, epoch);
      }
      picked.push(order[i % rows] ?? 0);
    }
    return picked;
  };
}
