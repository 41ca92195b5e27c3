import type { RedisLink } from '@moraine/services';
import type { Redis, Result } from 'ioredis';

/** Adds requests to a window and says what is in it and when it ends: [count, milliseconds left]. */
const ADD = `
local count = redis.call('INCRBY', KEYS[1], ARGV[2])
if count == tonumber(ARGV[2]) then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    moraineCount(key: string, windowMs: number, count: number): Result<[number, number], Context>;
  }
}

/** Keys that are counted here; beyond them the oldest is forgotten. */
const KEYS_MAX = 10_000;
/** How often a process says what it counted and hears what the others did: a limit may be passed by what comes within that time. */
const TELL_EVERY_MS = 100;

export interface RateCountOptions {
  redis: Redis;
  redisLink: Pick<RedisLink, 'tell'>;
  /** In front of each key in Redis. */
  prefix: string;
  windowMs: number;
}

/** Requests of one key. */
interface Window {
  /** By all replicas, as far as is known here. */
  made: number;
  /** Of these, what Redis does not know yet. */
  untold: number;
  toldAt: number;
  endsAt: number;
}

/** How many requests a key has made in the window of now, and how long that lasts. */
export type Count = (key: string) => { made: number; leftMs: number };

/**
 * Counts requests in this process, at once, and in Redis for all replicas together, ten times a second at most: no request waits for Redis, and
 * a limit goes on where it was when Redis falls silent. What Redis may or may not have heard by then is not told again: replicas may pass a
 * limit together by it, but nobody is refused for a request that was counted twice.
 */
export function countRequests({ redis, redisLink, prefix, windowMs }: RateCountOptions): Count {
  redis.defineCommand('moraineCount', { numberOfKeys: 1, lua: ADD });
  const windows = new Map<string, Window>();

  const tell = async (key: string, window: Window): Promise<void> => {
    const told = window.untold;
    window.untold = 0;
    const heard = await redisLink.tell('The count of requests', () => redis.moraineCount(prefix + key, windowMs, told));
    if (!heard) return;
    window.made = heard[0] + window.untold;
    window.endsAt = performance.now() + Math.max(0, heard[1]);
  };

  return (key) => {
    const now = performance.now();
    let window = windows.get(key);
    if (!window && windows.size >= KEYS_MAX) windows.delete(windows.keys().next().value ?? '');
    if (!window || window.endsAt <= now) {
      window = { made: 0, untold: 0, toldAt: Number.NEGATIVE_INFINITY, endsAt: now + windowMs };
      windows.set(key, window);
    }
    window.made++;
    window.untold++;
    if (now - window.toldAt >= TELL_EVERY_MS) {
      window.toldAt = now;
      void tell(key, window);
    }
    return { made: window.made, leftMs: window.endsAt - now };
  };
}
