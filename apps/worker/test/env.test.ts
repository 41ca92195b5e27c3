import { hostname } from 'node:os';
import { describe, expect, it } from 'vitest';
import { childEnv, readEnv } from '../src/env.js';

const REQUIRED = {
  DATABASE_URL: 'postgres://user:secret@db/moraine',
  REDIS_URL: 'redis://cache',
  MORAINE_BLOBS: '/blobs',
  MORAINE_WORK_DIR: '/work',
};

describe('the settings of a worker', () => {
  it('have a default each but for the addresses and folders', () => {
    expect(readEnv(REQUIRED)).toEqual({
      databaseUrl: 'postgres://user:secret@db/moraine',
      redisUrl: 'redis://cache',
      blobsDir: '/blobs',
      workDir: '/work',
      pool: 'default',
      name: hostname(),
      threads: expect.any(Number),
      memoryLimitBytes: null,
      diskReserveBytes: null,
      nice: 15,
      logLevel: 'info',
      logFormat: 'json',
    });
    expect(readEnv(REQUIRED).threads).toBeGreaterThan(0);
  });

  it('are each read from their variable', () => {
    const given = {
      MORAINE_POOL: 'gpu',
      MORAINE_WORKER_NAME: 'w-7',
      MORAINE_THREADS: '3',
      MORAINE_MEMORY_LIMIT_BYTES: '1073741824',
      MORAINE_DISK_RESERVE_BYTES: '1048576',
      LOG_LEVEL: 'debug',
      LOG_FORMAT: 'pretty',
    };
    expect(readEnv({ ...REQUIRED, ...given })).toMatchObject({
      pool: 'gpu',
      name: 'w-7',
      threads: 3,
      memoryLimitBytes: 2 ** 30,
      diskReserveBytes: 2 ** 20,
      logLevel: 'debug',
      logFormat: 'pretty',
    });
  });

  it('that are empty count as not given', () => {
    const empty = { MORAINE_POOL: '', MORAINE_WORKER_NAME: '', MORAINE_THREADS: '', MORAINE_MEMORY_LIMIT_BYTES: '' };
    expect(readEnv({ ...REQUIRED, ...empty })).toEqual(readEnv(REQUIRED));
  });

  it.each(['DATABASE_URL', 'REDIS_URL'])(
    'with a password in %s that cuts the address off are refused by name',
    (name) => {
      expect(() => readEnv({ ...REQUIRED, [name]: 'redis://user:pass/word@host:1/0' })).toThrow(
        expect.objectContaining({ code: 'invalid_value', param: name }),
      );
    },
  );

  it.each(Object.keys(REQUIRED))('without %s are refused by name, without the value of another', (name) => {
    for (const value of [undefined, '']) {
      expect(() => readEnv({ ...REQUIRED, [name]: value })).toThrow(
        expect.objectContaining({ code: 'invalid_value', param: name, message: `${name} is not set.` }),
      );
    }
  });

  it.each(['0', '-1', '1.5', 'four', '4 cores', 'NaN', 'Infinity'])('refuse %j as a number', (text) => {
    for (const name of ['MORAINE_THREADS', 'MORAINE_MEMORY_LIMIT_BYTES'])
      expect(() => readEnv({ ...REQUIRED, [name]: text })).toThrow(
        expect.objectContaining({ code: 'invalid_value', param: name, message: expect.stringContaining(`'${text}'`) }),
      );
  });

  it('write JSON whatever else than "pretty" is asked for', () => {
    expect(readEnv({ ...REQUIRED, LOG_FORMAT: 'colourful' }).logFormat).toBe('json');
  });
});

describe('what the training process sees', () => {
  it('is the environment without the addresses of servers', () => {
    const seen = childEnv(2, { ...REQUIRED, PATH: '/bin', LANG: 'C' });
    expect(seen).toMatchObject({ PATH: '/bin', LANG: 'C' });
    expect(JSON.stringify(seen)).not.toMatch(/postgres|redis|secret/);
  });

  it('has the threads of TensorFlow, whatever the environment had', () => {
    const seen = childEnv(3, { OMP_NUM_THREADS: '64', TF_NUM_INTRAOP_THREADS: '64' });
    expect(seen).toMatchObject({ OMP_NUM_THREADS: '3', TF_NUM_INTRAOP_THREADS: '3' });
  });

  it('has glibc keep freed memory, unless the operator said otherwise', () => {
    expect(childEnv(1, {}).MALLOC_TRIM_THRESHOLD_).toMatch(/^\d+$/);
    expect(childEnv(1, { MALLOC_TRIM_THRESHOLD_: '0' }).MALLOC_TRIM_THRESHOLD_).toBe('0');
  });

  it.each(['-1', '20', '1.5', 'low'])('refuse %s as the priority of training', (value) => {
    expect(readEnv({ ...REQUIRED, MORAINE_TRAINING_NICE: '0' }).nice).toBe(0);
    expect(() => readEnv({ ...REQUIRED, MORAINE_TRAINING_NICE: value })).toThrow(
      /MORAINE_TRAINING_NICE is '.*whole number from 0 to 19/,
    );
  });
});
