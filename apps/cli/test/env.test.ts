import path from 'node:path';
import { afterEach, expect, test, vi } from 'vitest';
import {
  childEnv,
  chosenApiKey,
  clientAddress,
  databaseUrl,
  dataDir,
  noColour,
  redisUrl,
  searchPath,
} from '../src/env.js';
import { dataDirFor, inRepo, version } from '../src/paths.js';

afterEach(() => {
  vi.unstubAllEnvs();
});

test.each([
  ['MORAINE_DATA', dataDir],
  ['DATABASE_URL', databaseUrl],
  ['REDIS_URL', redisUrl],
  ['MORAINE_API_KEY', chosenApiKey],
] as const)('%s that is empty is not set', (name, read) => {
  vi.stubEnv(name, 'given');
  expect(read()).toBe('given');
  vi.stubEnv(name, '');
  expect(read()).toBeUndefined();
});

test('a server elsewhere needs its address and its key', () => {
  vi.stubEnv('OPENAI_BASE_URL', 'http://there/v1');
  vi.stubEnv('OPENAI_API_KEY', '');
  expect(clientAddress()).toBeUndefined();
  vi.stubEnv('OPENAI_API_KEY', 'mk-x');
  expect(clientAddress()).toEqual({ baseUrl: 'http://there/v1', apiKey: 'mk-x' });
  vi.stubEnv('OPENAI_BASE_URL', '');
  expect(clientAddress()).toBeUndefined();
});

test('NO_COLOR counts with any value but none', () => {
  vi.stubEnv('NO_COLOR', '0');
  expect(noColour()).toBe(true);
  vi.stubEnv('NO_COLOR', '');
  expect(noColour()).toBe(false);
});

test('programs are looked for in every folder of PATH, and not in the current one', () => {
  vi.stubEnv('PATH', `/a b${path.delimiter}${path.delimiter}/c`);
  expect(searchPath()).toEqual(['/a b', '/c']);
  vi.stubEnv('PATH', '');
  expect(searchPath()).toEqual([]);
});

test('a child has the whole environment, and what is given to it counts more', () => {
  vi.stubEnv('PORT', '1');
  vi.stubEnv('OTHER', 'kept');
  expect(childEnv({ PORT: '2' })).toMatchObject({ PORT: '2', OTHER: 'kept', PATH: process.env.PATH });
  expect(process.env.PORT).toBe('1');
});

test('the data folder is the one of --data, else of MORAINE_DATA, else .data of the repository', () => {
  vi.stubEnv('MORAINE_DATA', '');
  expect(dataDirFor(undefined)).toBe(inRepo('.data'));
  vi.stubEnv('MORAINE_DATA', '/var/moraine');
  expect(dataDirFor(undefined)).toBe('/var/moraine');
  expect(dataDirFor('here')).toBe(path.resolve('here'));
});

test('the version is the one of the repository', () => {
  expect(version()).toMatch(/^\d+\.\d+\.\d+$/);
});
