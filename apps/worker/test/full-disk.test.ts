import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openServices } from '@moraine/services';
import { migratedDatabase, openSmallDisk } from '@moraine/testing';
import { pino } from 'pino';
import { afterAll, expect, test } from 'vitest';
import { leastFree, roomProblem, writeProblem } from '../src/disk.js';
import { startWorker } from '../src/supervisor.js';
import { attemptsOf, childScript, expectComplete, runOf, submitRun, until, untilStatus } from './helpers.js';

/** Null where this user may not mount a disk: those tests are skipped. */
const disk = openSmallDisk(4);
const database = await migratedDatabase();
const workDir = mkdtempSync(join(tmpdir(), 'moraine-work-'));
const blobsDir = join(disk?.dir ?? workDir, 'blobs');
const log = pino({ level: 'silent' });
const s = await openServices({ ...database, blobsDir, log, patience: 'work' });
afterAll(async () => {
  await s.close();
  await database.close();
  disk?.close();
  rmSync(workDir, { recursive: true, force: true });
});

test.skipIf(disk === null)(
  'a blob disk that fills up ends the attempt uncharged, the worker says so and takes the run up again when there is room (needs leave to mount)',
  async () => {
    const pool = 'full';
    const worker = startWorker(
      s,
      {
        name: 'w',
        pool,
        script: childScript,
        workDir,
        version: '0',
        heartbeatMs: 100,
        pollEveryMs: 200,
        diskReserveBytes: 2 ** 20,
        diskProbeEveryMs: 100,
      },
      log,
    );
    const workerRow = () => s.db.worker.findFirstOrThrow({ where: { pool } });
    try {
      // A budget of one: whatever is charged fails the run.
      const id = await submitRun(s, { pool, maxAttempts: 1, stepMs: 10 });
      await until('the first steps', async () => (await runOf(s, id)).step >= 1);
      disk?.fill();
      await until('unhealthy', async () => (await workerRow()).status === 'unhealthy');
      expect((await workerRow()).statusReason).toMatch(/^storage_full: .*disk of the blob storage/);
      await untilStatus(s, id, 'queued');
      const [first] = await attemptsOf(s, id);
      expect(first).toMatchObject({
        status: 'failed',
        cause: 'storage',
        message: expect.stringMatching(/does not fit/),
      });
      // Nothing is claimed while it is full: not this run, and no other either.
      const other = await submitRun(s, { pool, maxAttempts: 1 }).catch(() => null);
      await new Promise((resolve) => setTimeout(resolve, 600));
      expect(await attemptsOf(s, id)).toHaveLength(1);
      expect(other).toBeNull();
      disk?.free();
      await untilStatus(s, id, 'succeeded');
      await expectComplete(s, id, 100);
      await until('ready', async () => (await workerRow()).status === 'ready');
      expect((await workerRow()).statusReason).toBeNull();
    } finally {
      disk?.free();
      await worker.drain();
    }
  },
);

test('a disk with room is no problem; the least of several counts', async () => {
  const places = [{ what: 'the disk of the test', dir: join(workDir, 'not/yet/there') }];
  expect(await roomProblem(places, 1)).toBeNull();
  expect(await writeProblem(places)).toBeNull();
  expect(await roomProblem(places, 2 ** 60)).toMatch(
    /^storage_full: the disk of the test has .* free, at least .* are needed/,
  );
  expect(await leastFree([...places, { what: 'small', dir: disk?.dir ?? workDir }])).toBeLessThanOrEqual(
    disk ? 4 * 2 ** 20 : Number.MAX_SAFE_INTEGER,
  );
});

test.skipIf(disk === null)(
  'a disk that takes no write is a problem, whatever is said to be free (needs leave to mount)',
  async () => {
    const places = [{ what: 'the disk of the test', dir: join(disk?.dir ?? '', 'probe') }];
    disk?.fill(2 ** 19);
    expect(await writeProblem(places)).toMatch(/^storage_full: the disk of the test takes no writes: .*ENOSPC/);
    disk?.free();
    expect(await writeProblem(places)).toBeNull();
  },
);
