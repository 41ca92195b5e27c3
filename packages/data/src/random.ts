import { createRandom } from '@moraine/contract/random';

export { createRandom, type Random } from '@moraine/contract/random';

/**
 * The order in which an epoch visits the rows of a file: a permutation of 0..rowCount-1 that depends on
 * (rowCount, seed, epoch) alone, so that every method sees equal rows at equal seeds and a resumed run goes on exactly.
 */
export function epochOrder(rowCount: number, seed: number, epoch: number): Uint32Array {
  const random = createRandom(seed, 0x0e90_0000 + epoch);
  const order = Uint32Array.from({ length: rowCount }, (_, i) => i);
  for (let i = rowCount - 1; i > 0; i -= 1) {
    const j = random.int(0, i);
    const kept = order[i] as number;
    order[i] = order[j] as number;
    order[j] = kept;
  }
  return order;
}
