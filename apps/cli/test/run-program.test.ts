import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { programSettings } from '../src/run-program.js';
import { readStack, saveStack } from '../src/up/stack-file.js';

const NAMES = ['DATABASE_URL', 'REDIS_URL', 'MORAINE_BLOBS', 'MORAINE_WORK_DIR'];
let dir: string;
beforeEach(() => {
  dir = mkdtempSync(path.join(tmpdir(), 'moraine worker '));
  for (const name of NAMES) vi.stubEnv(name, '');
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(dir, { recursive: true });
});

test('a worker of its own finds the servers, the blobs and a folder to work in by the stack that ran here', () => {
  const postgres = { url: 'postgresql://here/moraine' };
  const redis = { url: 'redis://here' };
  saveStack(dir, { ...readStack(dir), postgres, redis });
  expect(programSettings(dir, 'worker')).toMatchObject({
    DATABASE_URL: postgres.url,
    REDIS_URL: redis.url,
    MORAINE_BLOBS: path.join(dir, 'blobs'),
    MORAINE_WORK_DIR: path.join(dir, 'work', 'worker'),
  });
});

test('what the shell sets wins, and a folder to work in has a default there too', () => {
  vi.stubEnv('DATABASE_URL', 'postgresql://there/db');
  vi.stubEnv('REDIS_URL', 'rediss://there');
  vi.stubEnv('MORAINE_BLOBS', '/mnt/blobs');
  const settings = programSettings(dir, 'worker');
  expect(settings).toMatchObject({ DATABASE_URL: 'postgresql://there/db', REDIS_URL: 'rediss://there' });
  expect(settings).not.toHaveProperty('MORAINE_BLOBS');
  expect(settings.MORAINE_WORK_DIR).toBe(path.join(dir, 'work', 'worker'));
});

test('without servers it says which address is missing and what to do', () => {
  vi.stubEnv('DATABASE_URL', 'postgresql://there/db');
  expect(() => programSettings(dir, 'worker')).toThrow(
    expect.objectContaining({
      code: 'invalid_value',
      message: `REDIS_URL is not set, and no stack has run on ${dir}.`,
    }),
  );
});
