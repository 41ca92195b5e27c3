import { AppError } from '@moraine/contract';

/** Something in memory that may be dropped and brought again. */
export interface Held {
  readonly bytes: number;
  /** Whether nobody needs it now. */
  isIdle(): boolean;
  drop(): void;
}

/** What a server has in memory, within a limit, the one unused the longest first. */
export interface Budget {
  /** Bytes held. */
  used(): number;
  /** Sets the bytes that are always held. @throws AppError `invalid_value` where they are more than the limit. */
  fix(bytes: number, what: string): void;
  /**
   * Holds something, after others were dropped to make room.
   * @throws AppError `invalid_value` where it would not fit beside what never goes, `unavailable` where what stands in its way is in use.
   */
  hold(held: Held, what: string): void;
  /** Whether so many bytes more would fit beside what is in use. */
  fits(bytes: number): boolean;
  touch(held: Held): void;
  release(held: Held): void;
}

/** @param limit bytes. */
export function createBudget(limit: number): Budget {
  let fixed = 0;
  /** In the order in which they were last used. */
  const all = new Set<Held>();
  const sum = (of: Iterable<Held>): number => [...of].reduce((total, { bytes }) => total + bytes, fixed);
  const busy = (): Held[] => [...all].filter((held) => !held.isIdle());
  return {
    used: () => sum(all),
    fix(bytes, what) {
      if (bytes > limit) throw tooLarge(what, bytes, limit);
      fixed = bytes;
    },
    fits: (bytes) => sum(busy()) + bytes <= limit,
    hold(held, what) {
      if (fixed + held.bytes > limit) throw tooLarge(what, held.bytes, limit - fixed);
      if (sum(busy()) + held.bytes > limit) throw inUse(what);
      for (const other of all) {
        if (sum(all) + held.bytes <= limit) break;
        if (!other.isIdle()) continue;
        all.delete(other);
        other.drop();
      }
      all.add(held);
    },
    touch(held) {
      if (!all.delete(held)) return;
      all.add(held);
    },
    release: (held) => {
      all.delete(held);
    },
  };
}

const mib = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20).toLocaleString('en')} MiB`;

const tooLarge = (what: string, bytes: number, left: number): AppError =>
  new AppError('invalid_value', `${what} takes ${mib(bytes)} of memory, ${mib(Math.max(0, left))} are left for it.`, {
    param: 'memoryBytes',
    hint: 'Give the server more memory, fewer rows or a shorter context.',
  });

const inUse = (what: string): AppError =>
  new AppError('unavailable', `There is no room in memory for ${what}: all of it answers or is pinned.`, {
    hint: 'Try again in a moment, unpin something, or give the server more memory.',
  });
