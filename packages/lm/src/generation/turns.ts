import type { BeginOptions } from './answer.js';

/** A prompt, as far as it is known whose it is. */
interface Asked {
  options: Pick<BeginOptions, 'tenant' | 'request'>;
}

/**
 * Whose turn it is to take a free row: the prompt of the tenant that has the fewest rows, of its requests the one that has the fewest, and of that the first that
 * came. However much one request or tenant asks, another waits for one answer at most; and a request without a row is passed over by nobody who came later and has
 * one.
 * @param having prompts that have a row. @returns the place in `waiting`, −1 where nobody waits.
 */
export function nextTurn(waiting: readonly Asked[], having: readonly Asked[]): number {
  const ofTenants = countBy(having, ({ options }) => options.tenant);
  const ofRequests = countBy(having, ({ options }) => options.request);
  let best = -1;
  let fewest: readonly [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (const [place, { options }] of waiting.entries()) {
    const rows = [ofTenants.get(options.tenant) ?? 0, ofRequests.get(options.request) ?? 0] as const;
    if (rows[0] > fewest[0] || (rows[0] === fewest[0] && rows[1] >= fewest[1])) continue;
    [best, fewest] = [place, rows];
    if (rows[0] === 0 && rows[1] === 0) break;
  }
  return best;
}

function countBy<T, K>(values: readonly T[], keyOf: (value: T) => K): Map<K, number> {
  const counts = new Map<K, number>();
  for (const value of values) counts.set(keyOf(value), (counts.get(keyOf(value)) ?? 0) + 1);
  return counts;
}
