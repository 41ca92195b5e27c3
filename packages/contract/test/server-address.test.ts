import { describe, expect, test } from 'vitest';
import { checkServerAddress } from '../src/server-address.js';

describe('the address of a server', () => {
  test.each([
    'postgresql://moraine:plain-1_2@postgres:5432/moraine',
    'postgresql://moraine:a%2Fb%23c@postgres:5432/moraine',
    'postgresql:///moraine?host=/var/run/postgresql',
    'postgresql://moraine:secret@/moraine?host=/var/run/postgresql',
    'redis://:secret@redis:6379/0',
    'rediss://cache',
    '127.0.0.1:6379',
    '/run/redis.sock',
  ])('%s is taken as it is', (address) => {
    expect(checkServerAddress('DATABASE_URL', address)).toBe(address);
  });

  // `openssl rand -base64` makes a slash in every second password.
  test.each(['pass/word', '12/word', 'pass#word', 'pass?word', '12/a@word', 'pass%word'])(
    'with the password %s is refused by the name of its variable, without the password',
    (password) => {
      for (const address of [
        `postgresql://moraine:${password}@postgres:5432/moraine`,
        `redis://:${password}@redis:6379/0`,
      ])
        expect(() => checkServerAddress('THE_URL', address)).toThrow(
          expect.objectContaining({
            code: 'invalid_value',
            param: 'THE_URL',
            message: expect.not.stringContaining('word'),
            hint: expect.stringContaining('%2F'),
          }),
        );
    },
  );
});
