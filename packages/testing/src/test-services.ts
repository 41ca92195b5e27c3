import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { openServices, type Services } from '@moraine/services';
import { pino } from 'pino';
import { serversAddress, testLogLevel } from './env.js';

export interface TestDatabase {
  /** A database that nobody else uses. */
  databaseUrl: string;
  /** A Redis database number that nobody else uses. Pub/sub is not scoped by it: give channels ids of your own. */
  redisUrl: string;
  /** An empty folder for blobs. */
  blobsDir: string;
  /** Removes the folder. The database goes with the test run. */
  close(): Promise<void>;
}

export interface TestServices extends TestDatabase {
  services: Services;
}

/** A real, empty Postgres database and Redis for one test file. */
export const testDatabase = (): Promise<TestDatabase> => open('empty');

/** The same with every migration applied (a copy of a migrated template, some 50 ms). */
export const migratedDatabase = (): Promise<TestDatabase> => open('migrated');

/** Open services on a migrated database of their own. Close them in `afterAll`. */
export async function testServices(): Promise<TestServices> {
  const database = await migratedDatabase();
  const { databaseUrl, redisUrl, blobsDir } = database;
  const services = await openServices({ databaseUrl, redisUrl, blobsDir, log: pino({ level: testLogLevel() }) });
  return {
    ...database,
    services,
    async close() {
      await services.close();
      await database.close();
    },
  };
}

async function open(kind: 'empty' | 'migrated'): Promise<TestDatabase> {
  const address = serversAddress();
  if (!address)
    throw new Error('No test servers: run the tests with `npx vitest run` from the root of the repository.');
  const response = await fetch(`${address}/${kind}`);
  if (!response.ok) throw new Error(`The test servers do not start: ${await response.text()}`);
  const { databaseUrl, redisUrl } = (await response.json()) as { databaseUrl: string; redisUrl: string };
  const dir = await mkdtemp(path.join(tmpdir(), 'moraine-file-'));
  return {
    databaseUrl,
    redisUrl,
    blobsDir: path.join(dir, 'blobs'),
    close: () => rm(dir, { recursive: true, force: true }),
  };
}
