import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import { testServices } from '@moraine/testing';
import { pino } from 'pino';
import { afterAll, describe, expect, test } from 'vitest';
import { describeError } from '../../src/ground/describe-error.js';
import { migrate, openServices, type Services } from '../../src/index.js';

const t = await testServices();
afterAll(() => t.close());

const SECRET = 'correct-horse-battery';

/** Services of these addresses with every line of their log. */
async function logged(
  addresses: { databaseUrl?: string; redisUrl?: string },
  work: (s: Services) => Promise<unknown>,
): Promise<string> {
  let lines = '';
  const log = pino({ level: 'trace' }, { write: (line: string) => (lines += line) });
  const { databaseUrl, redisUrl, blobsDir } = t;
  const s = await openServices({ databaseUrl, redisUrl, blobsDir, log, ...addresses });
  await work(s).catch((error: unknown) => s.log.error({ err: error }, 'refused'));
  await s.close();
  return lines;
}

/** An address with this user and password. */
const as = (address: string, username: string, password: string): string =>
  Object.assign(new URL(address), { username, password }).href;

describe('a log line about a server', () => {
  test('that refuses the password in REDIS_URL does not have it', async () => {
    await t.services.redis.call('ACL', 'SETUSER', 'logged', 'on', '>right', '~*', '+@all');
    const lines = await logged({ redisUrl: as(t.redisUrl, 'logged', SECRET) }, (s) => s.redis.ping());
    expect(lines).toContain('WRONGPASS');
    expect(lines).not.toContain(SECRET);
  });

  test('that refuses the password in DATABASE_URL does not have it', async () => {
    const lines = await logged({ databaseUrl: as(t.databaseUrl, 'nobody', SECRET) }, (s) => s.pg.query('SELECT 1'));
    expect(lines).toContain('password authentication failed');
    expect(lines).not.toContain(SECRET);
  });

  test('whose address cannot be read does not have the address', async () => {
    const broken = `postgresql://someone:${SECRET}@[nowhere/x`;
    const lines = await logged({}, () => migrate(broken));
    expect(lines).toContain('refused');
    expect(lines).not.toContain(SECRET);
  });

  test('that ended a connection is one short line with its code, not the connection', async () => {
    const { password } = new URL(t.databaseUrl);
    const lines = await logged({}, async (s) => {
      await s.pg.query('SELECT 1');
      await t.services.pg.query(
        'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()',
      );
      await sleep(200);
    });
    expect(lines).toContain('57P01');
    expect(lines).not.toContain('connectionParameters');
    expect(lines).not.toContain(password);
    expect(lines.length).toBeLessThan(5_000);
  });
});

describe('describeError', () => {
  test('keeps what finds a fault: type, message, code, hint and the causes', () => {
    const cause = Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED', port: 5432 });
    const error = new AppError('unavailable', 'A server is away.', { hint: 'Try again.', cause });
    expect(describeError(error)).toMatchObject({
      type: 'AppError',
      message: 'A server is away.',
      code: 'unavailable',
      status: 503,
      hint: 'Try again.',
      stack: expect.stringContaining('describe-error.test'),
      cause: { message: 'connect ECONNREFUSED', code: 'ECONNREFUSED', port: 5432 },
    });
  });

  test.each([
    [`cannot reach postgresql://me:${SECRET}@db:5432/x now`, 'cannot reach postgresql://***@db:5432/x now'],
    [`redis://:${SECRET}@cache/1`, 'redis://***@cache/1'],
    [`rediss://me:${SECRET}%40@cache and pg://you:${SECRET}@db`, 'rediss://***@cache and pg://***@db'],
    ['http://127.0.0.1:7311/v1/files', 'http://127.0.0.1:7311/v1/files'],
    ['mail me@example.org about http://a/b', 'mail me@example.org about http://a/b'],
  ])('%s', (message, plain) => {
    expect(describeError(new Error(message))).toMatchObject({ message: plain });
    expect(JSON.stringify(describeError(new Error('x', { cause: message })))).not.toContain(SECRET);
  });

  test('names every error of several, and ends on a chain that goes round', () => {
    const errors = describeError(new AggregateError([new Error('one'), new Error('two')], 'all'));
    expect(errors).toMatchObject({ message: 'all', errors: [{ message: 'one' }, { message: 'two' }] });
    const round = new Error('round');
    round.cause = round;
    expect(JSON.stringify(describeError(round)).split('"round"').length - 1).toBe(6);
  });

  test('leaves what is no error as it is', () => {
    expect([null, 7, 'words'].map((value) => describeError(value))).toEqual([null, 7, 'words']);
  });
});
