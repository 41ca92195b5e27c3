import { expect, test } from 'vitest';
import { readEnv } from '../src/env.js';

const REQUIRED = { DATABASE_URL: 'postgresql://db/moraine', REDIS_URL: 'redis://cache', MORAINE_BLOBS: '/blobs' };

test.each(['DATABASE_URL', 'REDIS_URL'])('a password in %s that cuts the address off is refused by name', (name) => {
  expect(readEnv(REQUIRED)).toMatchObject({ databaseUrl: REQUIRED.DATABASE_URL, redisUrl: REQUIRED.REDIS_URL });
  expect(() => readEnv({ ...REQUIRED, [name]: 'redis://user:pass/word@host:1/0' })).toThrow(
    expect.objectContaining({ code: 'invalid_value', param: name }),
  );
});
