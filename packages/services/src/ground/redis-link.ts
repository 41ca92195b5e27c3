import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';

/** Redis is not the truth: no caller waits for it longer. */
export const REDIS_WAIT_MS = 150;
const PROBE_EVERY_MS = 500;
/** A connection that says nothing for so long is opened anew: its other end may be gone without a word. */
const REOPEN_MS = 10_000;
/** Calls under way while Redis is silent; more are not made, what they would say is in Postgres. */
const WAITING_MAX = 1_000;

/** What the link asks of a connection: `Redis` of ioredis is one. */
export interface RedisCommands {
  ping(): Promise<unknown>;
  disconnect(reconnect: boolean): void;
}

/** What is said to Redis as a courtesy to those who listen: wake-ups, notices, counts. */
export interface RedisLink {
  /**
   * Does the work and waits for it, but no longer than 150 ms, and not at all while Redis is silent: it then goes on in the background.
   * Returns what the work returned, null where that is not there (yet). Never rejects; `what` is logged when the work fails.
   */
  tell<T>(what: string, work: () => Promise<T>): Promise<T | null>;
  /** True from the first call that was not answered in time until Redis answers again. */
  isSilent(): boolean;
  close(): void;
}

export function openRedisLink(redis: RedisCommands, log: Logger): RedisLink {
  const closed = new AbortController();
  let isSilent = false;
  let underWay = 0;

  /** Asks until Redis answers. */
  const fallSilent = async (): Promise<void> => {
    if (isSilent || closed.signal.aborted) return;
    isSilent = true;
    log.warn('Redis does not answer; nobody waits for it until it does');
    let heardAt = performance.now();
    while (isSilent && !closed.signal.aborted) {
      const isThere = await firstOf(
        redis.ping().then(
          () => true,
          () => false,
        ),
        PROBE_EVERY_MS,
      );
      if (isThere === true) hear();
      else if (performance.now() - heardAt > REOPEN_MS) {
        heardAt = performance.now();
        redis.disconnect(true);
      }
      if (isSilent) await sleep(PROBE_EVERY_MS, undefined, { signal: closed.signal }).catch(() => undefined);
    }
  };
  const hear = (): void => {
    if (isSilent) log.info('Redis answers again');
    isSilent = false;
  };

  return {
    async tell(what, work) {
      if (isSilent && underWay >= WAITING_MAX) return null;
      underWay++;
      const done = work()
        .then(
          (result) => {
            hear();
            return result;
          },
          (error: unknown) => {
            log.warn({ err: error }, `${what} was not delivered: Redis is away`);
            return null;
          },
        )
        .finally(() => {
          underWay--;
        });
      if (isSilent) return null;
      const first = await firstOf(done, REDIS_WAIT_MS);
      if (first !== LATE) return first;
      void fallSilent();
      return null;
    },
    isSilent: () => isSilent,
    close: () => closed.abort(),
  };
}

const LATE = Symbol('late');

async function firstOf<T>(work: Promise<T>, ms: number): Promise<T | typeof LATE> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<typeof LATE>((resolve) => {
    timer = setTimeout(resolve, ms, LATE);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
