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
  ['a Postgres that only reads', withCode('25006'), true],
  ['a lock that was not got in time', withCode('55P03'), true],
  ['a fault of the machine below Postgres', withCode('58030'), true],
  ['a transaction of Prisma that found no connection', withCode('P2028'), true],
  ['an answer that did not come in time', new Error('Query read timeout'), true],
  [
    "the driver's code below Prisma's",
    Object.assign(withCode('P2010'), { meta: { driverAdapterError: { cause: { originalCode: '25006' } } } }),
    true,
  ],
  ['a Redis that only reads', new Error("READONLY You can't write against a read only replica."), true],
  ['a Redis whose memory is full', new Error("OOM command not allowed when used memory > 'maxmemory'."), true],
  ['words of Redis inside another sentence', new Error('the file BUSY.txt is LOADING'), false],
  ['a transaction that was aborted by what came before', withCode('25P02'), false],
  ['a duplicate key', withCode('23505'), false],
  ['a code that only begins like one of Postgres', withCode('40'), false],
  ['what is no error', 'ECONNREFUSED', false],
])('%s: %s means away %s', (_what, error, away) => {
  expect(isServerAway(error)).toBe(away);
});

test('Redis is tried again ever more slowly, but every second at least', () => {
  expect([1, 2, 3, 5, 50].map(redisRetryMs)).toEqual([100, 200, 400, 1_000, 1_000]);
});
