import { listLivingAddresses, type Services } from '@moraine/services';

/** What waits for one process. */
export interface Watch {
  /** Aborts when the process gives no sign of life any more. */
  lost: AbortSignal;
  end(): void;
}

const EVERY_MS = 2_000;
/** Of a database that was away itself the first answers may be older than the next heartbeat. */
const MISSES = 3;

/**
 * Ends what waits for processes that have been silent for two minutes: a machine that is switched off, or a process that hangs, closes no connection, and
 * nobody would ever hear of it. One question to the database for all that are waited for, and one at a time: of one that was away itself all would be
 * answered at once.
 */
function createLifeWatch(s: Services) {
  const watched = new Map<string, { lost: AbortController; count: number; misses: number }>();
  let timer: NodeJS.Timeout | null = null;
  let isLooking = false;

  async function look(): Promise<void> {
    const alive = await listLivingAddresses(s, [...watched.keys()]);
    for (const [address, one] of watched) {
      one.misses = alive.has(address) ? 0 : one.misses + 1;
      if (one.misses < MISSES) continue;
      watched.delete(address);
      one.lost.abort();
    }
  }

  async function lookAlone(): Promise<void> {
    if (isLooking) return;
    isLooking = true;
    await look().catch(() => undefined);
    isLooking = false;
  }

  function leave(address: string, one: { count: number }): void {
    one.count -= 1;
    if (one.count === 0 && watched.get(address) === one) watched.delete(address);
    if (watched.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  }

  return {
    begin(address: string): Watch {
      const one = watched.get(address) ?? { lost: new AbortController(), count: 0, misses: 0 };
      watched.set(address, one);
      one.count += 1;
      // Without the database nobody is known to be lost.
      timer ??= setInterval(() => void lookAlone(), EVERY_MS).unref();
      let isOver = false;
      return {
        lost: one.lost.signal,
        end: () => {
          if (isOver) return;
          isOver = true;
          leave(address, one);
        },
      };
    },
  };
}

const watches = new WeakMap<Services, ReturnType<typeof createLifeWatch>>();

/** Watches the process at an address until `end`. */
export function watchLife(s: Services, address: string): Watch {
  const watch = watches.get(s) ?? createLifeWatch(s);
  watches.set(s, watch);
  return watch.begin(address);
}
