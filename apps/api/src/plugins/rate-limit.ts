import { fastifyRateLimit } from '@fastify/rate-limit';
import { AppError } from '@moraine/contract';
import fp from 'fastify-plugin';
import { createRateStore, type RateStoreOptions } from './rate-store.js';

export interface RateLimitOptions extends Omit<RateStoreOptions, 'prefix'> {
  redisPrefix: string;
  /** Requests a minute for one key, or one session's project. */
  limit: number;
}

/** A generous limit per key, counted in Redis for all replicas together; while Redis is away or silent each process counts for itself. */
export const rateLimit = fp<RateLimitOptions>(async (app, { redis, redisLink, redisPrefix, limit }) => {
  await app.register(fastifyRateLimit, {
    store: createRateStore({ redis, redisLink, prefix: `${redisPrefix}:rate:` }),
    max: limit,
    timeWindow: 60_000,
    keyGenerator: ({ actor, ip }) => actor?.keyId ?? actor?.projectId ?? ip,
    errorResponseBuilder: (_request, { max, after }) =>
      new AppError('rate_limited', `More than ${max} requests in a minute were made with this key.`, {
        hint: `Try again in ${after}.`,
      }),
  });
});
