import { AppError } from '@moraine/contract';
import fp from 'fastify-plugin';
import { countRequests, type RateCountOptions } from './rate-count.js';

export interface RateLimitOptions extends Omit<RateCountOptions, 'prefix' | 'windowMs'> {
  redisPrefix: string;
  /** Requests a minute for one key, or one session's project. */
  limit: number;
}

const WINDOW_MS = 60_000;

/** A generous limit per key, for all replicas together; while Redis is away or silent each process counts for itself. */
export const rateLimit = fp<RateLimitOptions>(async (app, { redis, redisLink, redisPrefix, limit }) => {
  const count = countRequests({ redis, redisLink, prefix: `${redisPrefix}:rate:`, windowMs: WINDOW_MS });
  app.addHook('onRequest', ({ actor, ip }, reply, done) => {
    const { made, leftMs } = count(actor?.keyId ?? actor?.projectId ?? ip);
    const leftS = Math.ceil(leftMs / 1_000);
    reply.headers({
      'x-ratelimit-limit': limit,
      'x-ratelimit-remaining': Math.max(0, limit - made),
      'x-ratelimit-reset': leftS,
    });
    if (made <= limit) return done();
    reply.header('retry-after', leftS);
    done(
      new AppError('rate_limited', `More than ${limit} requests in a minute were made with this key.`, {
        hint: `Try again in ${leftS} s.`,
      }),
    );
  });
});
