import { execFile } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { AppError } from '@moraine/contract';
import { openSmallDisk } from '@moraine/testing';
import { pino } from 'pino';
import { afterAll, beforeEach, describe, expect, test } from 'vitest';
import { describeSize, freeBytes, isDiskFault, isStorageFull } from '../../src/ground/storage-full.js';
import { createFsBlobStore, openLogDestination } from '../../src/index.js';

/** Null where this user may not mount a disk: those tests are skipped. */
const disk = openSmallDisk(2);
afterAll(() => disk?.close());

const withCode = (code: string): Error => Object.assign(new Error('x'), { code });

test.each<[string, unknown, boolean, boolean]>([
  ['a full disk', withCode('ENOSPC'), true, true],
  ['a quota that is used up', withCode('EDQUOT'), true, true],
  ['a file that is too large for its system', withCode('EFBIG'), true, true],
  ['a full disk below Postgres', withCode('53100'), true, true],
  ['a full disk below another error', new AppError('storage', 'x', { cause: withCode('ENOSPC') }), true, true],
  ['a disk that fails', withCode('EIO'), false, true],
  ['a disk that is read only', withCode('EROFS'), false, true],
  ['a file that is not there', withCode('ENOENT'), false, false],
  ['a blob that is gone', new AppError('storage', 'gone'), false, false],
])('%s: %s is full %s, is a fault of the disk %s', (_what, error, isFull, isFault) => {
  expect([isStorageFull(error), isDiskFault(error)]).toEqual([isFull, isFault]);
});

test('sizes read well, and free room is that of the disk a folder will be on', async () => {
  expect([0, 999, 1_000, 12_345_678, 3e12].map(describeSize)).toEqual([
    '0 bytes',
    '999 bytes',
    '1.0 KB',
    '12.3 MB',
    '3.0 TB',
  ]);
  // Others write there too.
  expect(Number(await freeBytes('/nowhere/at/all')) / Number(await freeBytes('/'))).toBeCloseTo(1, 1);
});

describe.skipIf(disk === null)('a blob storage whose disk is full (needs leave to mount one)', () => {
  const dir = disk?.dir ?? '';
  const blobs = createFsBlobStore(join(dir, 'blobs'));
  beforeEach(() => disk?.free());

  test('refuses an upload with what did not fit and what is free, and keeps nothing of it', async () => {
    const three = Readable.from(Array.from({ length: 48 }, () => Buffer.alloc(65_536)));
    const error = await blobs.put('a/b', three).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'storage_full', status: 507 });
    expect(String(error)).toMatch(/An upload of at least \d\.\d MB does not fit .* \d\.\d MB are free/);
    expect(await blobs.list('.incoming')).toEqual([]);
    expect(await blobs.size('a/b')).toBeNull();
  });

  test('refuses a folder with its size, and takes it when there is room again', async () => {
    await blobs.put('from/one', Readable.from([Buffer.alloc(300_000)]));
    disk?.fill();
    await expect(blobs.putDir('to', join(dir, 'blobs/from'))).rejects.toMatchObject({
      code: 'storage_full',
      message: expect.stringMatching(/^A folder of 300\.0 KB does not fit/),
    });
    disk?.free();
    expect(await blobs.putDir('to', join(dir, 'blobs/from'))).toMatchObject({ sizeBytes: 300_000 });
  });

  test('loses lines of a log, says how many when there is room again, and ends nothing', async () => {
    const file = join(dir, 'a.log');
    const log = pino({ base: null }, openLogDestination(openSync(file, 'a')));
    log.info('first');
    disk?.fill();
    for (let i = 0; i < 2_000; i++) log.info({ i }, 'x'.repeat(1_000));
    disk?.free();
    log.info('last');
    await sleep(50);
    const lines = readFileSync(file, 'utf8').trim().split('\n');
    expect(lines[0]).toMatch(/first/);
    const lost = Number(/(\d+) log lines were lost: ENOSPC/.exec(lines.join('\n'))?.[1]);
    expect(lost).toBeGreaterThan(500);
    expect(lines.filter((line) => line.includes('xxx')).length).toBeLessThanOrEqual(2_000 - lost + 1);
  });
});

test('a process whose log cannot be written goes on, whatever else it writes', async () => {
  const program = `
    import { openLogDestination } from '@moraine/services';
    import { pino } from 'pino';
    const log = pino(openLogDestination());
    for (let i = 0; i < 100; i++) { log.info('a line'); console.log('past the log'); }
    setTimeout(() => { process.stderr.write('alive'); process.exit(7); }, 100);`;
  const said = await new Promise<[number | null, string]>((resolve) => {
    const command = `exec "$0" --input-type=module -e "$1" > /dev/full`;
    const child = execFile('sh', ['-c', command, process.execPath, program], (_error, _out, stderr) =>
      resolve([child.exitCode, stderr]),
    );
  });
  expect(said).toEqual([7, 'alive']);
});
