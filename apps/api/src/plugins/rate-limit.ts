import { fastifyRateLimit } from '@fastify/rate-limit';
import { AppError } from '@moraine/contract';
import fp from 'fastify-plugin';
import type { Redis } from 'ioredis';

export interface RateLimitOptions {
  redis: Redis;
  redisPrefix: string;
  /** Requests a minute for one key, or one session's project. */
  limit: number;
}

/** A generous limit per key, counted in Redis for all replicas together. While Redis is away nothing is counted and nobody is refused. */
export const rateLimit = fp<RateLimitOptions>(async (app, { redis, redisPrefix, limit }) => {
  await app.register(fastifyRateLimit, {
    redis,
    nameSpace: `${redisPrefix}:rate:`,
    max: limit,
    timeWindow: 60_000,
    skipOnError: true,
    keyGenerator: ({ actor, ip }) => actor?.keyId ?? actor?.projectId ?? ip,
    errorResponseBuilder: (_request, { max, after }) =>
      new AppError('rate_limited', `More than ${max} requests in a minute were made with this key.`, {
        hint: `Try again in ${after}.`,
      }),
  });
});
