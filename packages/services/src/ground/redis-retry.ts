/** Milliseconds before a lost connection to Redis is tried again: from 100 up to a second, for as long as the process lives. */
export const redisRetryMs = (times: number): number => Math.min(50 * 2 ** Math.min(times, 6), 1_000);
