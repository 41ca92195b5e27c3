import { AppError } from '@moraine/contract';

const WINDOW_MS = 60_000;
/** Wrong keys a minute from one address that are answered 401; those after them are answered 429. */
const WRONG_MAX = 60;
const ADDRESSES_MAX = 10_000;

export interface WrongKeys {
  /** Counts a wrong key of an address. @throws AppError `rate_limited` when there were too many within a minute. */
  count(address: string): void;
}

/**
 * Counts wrong keys and sessions by address, in this process alone: it bounds guessing. A right key always passes, because many callers
 * may share an address with one that is set up wrong.
 */
export function countWrongKeys({ max = WRONG_MAX, windowMs = WINDOW_MS } = {}): WrongKeys {
  const windows = new Map<string, { count: number; until: number }>();
  return {
    count(address) {
      const now = performance.now();
      const before = windows.get(address);
      const window = before && before.until > now ? before : { count: 0, until: now + windowMs };
      window.count++;
      if (windows.size >= ADDRESSES_MAX && window !== before) windows.clear();
      windows.set(address, window);
      if (window.count <= max) return;
      throw new AppError(
        'rate_limited',
        `More than ${max} requests with wrong keys came from ${address} within a minute.`,
        {
          hint: `Check the key; wrong ones are looked at again in ${Math.ceil((window.until - now) / 1_000)} s, right ones at once.`,
        },
      );
    },
  };
}
