import { expect, test } from 'vitest';
import { redisRetryMs } from '../../src/ground/redis-retry.js';
import { isServerAway } from '../../src/ground/server-away.js';

const withCode = (code: string, message = 'x'): Error => Object.assign(new Error(message), { code });

test.each<[string, unknown, boolean]>([
  ['a code of Prisma', withCode('P1001'), true],
  ['a Postgres that shuts down', withCode('57P01'), true],
  ['a cause below another error', new Error('query failed', { cause: withCode('ECONNREFUSED') }), true],
  ['one of several tries', new AggregateError([new Error('x'), withCode('ECONNRESET')], 'all failed'), true],
  ['a closed Redis', new Error('Connection is closed.'), true],
  ['a Redis that cannot be written to', new Error("Stream isn't writeable and enableOfflineQueue is false"), true],
  ['a duplicate key', withCode('23505'), false],
  ['a code that only begins like one of Postgres', withCode('40'), false],
  ['what is no error', 'ECONNREFUSED', false],
])('%s: %s means away %s', (_what, error, away) => {
  expect(isServerAway(error)).toBe(away);
});

test('Redis is tried again ever more slowly, but every second at least', () => {
  expect([1, 2, 3, 5, 50].map(redisRetryMs)).toEqual([100, 200, 400, 1_000, 1_000]);
});
