import type { RedisLink } from '@moraine/services';
import type { Redis, Result } from 'ioredis';

/** Counts a request in its window and says when the window ends: [count, milliseconds left]. */
const COUNT = `
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return {count, redis.call('PTTL', KEYS[1])}`;

declare module 'ioredis' {
  interface RedisCommander<Context> {
    moraineCount(key: string, windowMs: number): Result<[number, number], Context>;
  }
}

/** Keys that are counted here; beyond them the oldest is forgotten. */
const KEYS_MAX = 10_000;

type Done = (error: Error | null, result?: { current: number; ttl: number }) => void;

export interface RateStoreOptions {
  redis: Redis;
  redisLink: Pick<RedisLink, 'tell'>;
  /** In front of each key in Redis. */
  prefix: string;
}

/**
 * Counts requests in Redis, for all replicas together, and in this process while Redis is away or does not answer. Here each request is
 * counted always, so that a limit goes on where it was when Redis falls silent.
 */
export function createRateStore({ redis, redisLink, prefix }: RateStoreOptions) {
  redis.defineCommand('moraineCount', { numberOfKeys: 1, lua: COUNT });
  const here = new Map<string, { count: number; endsAt: number }>();

  const countHere = (key: string, windowMs: number): { current: number; ttl: number } => {
    const now = performance.now();
    const known = here.get(key);
    const window = known && known.endsAt > now ? known : { count: 0, endsAt: now + windowMs };
    window.count++;
    if (!known && here.size >= KEYS_MAX) here.delete(here.keys().next().value ?? '');
    here.set(key, window);
    return { current: window.count, ttl: Math.ceil(window.endsAt - now) };
  };

  return class RateStore {
    incr(key: string, done: Done, windowMs: number): void {
      const local = countHere(key, windowMs);
      void redisLink
        .tell('The count of a request', () => redis.moraineCount(prefix + key, windowMs))
        .then((counted) => done(null, counted ? { current: counted[0], ttl: Math.max(0, counted[1]) } : local));
    }

    child(): RateStore {
      return this;
    }
  };
}
