import { randomUUID } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type TestDatabase, testDatabase } from '@moraine/testing';
import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { migrate } from '../../src/index.js';

const SHIPPED = fileURLToPath(new URL('../../../../prisma/migrations', import.meta.url));
let dir: string;
let database: TestDatabase;
let shipped: string[];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'moraine-migrations-'));
  await cp(SHIPPED, dir, { recursive: true });
  shipped = (await readdir(SHIPPED)).filter((name) => name !== 'migration_lock.toml').sort();
  database = await testDatabase();
});
afterAll(async () => {
  await rm(dir, { recursive: true });
  await database.close();
});

/** The address of a database that does not exist yet. */
function missingDatabase(): string {
  const url = new URL(database.databaseUrl);
  url.pathname = `/moraine_${randomUUID().replaceAll('-', '')}`;
  return url.toString();
}

async function write(name: string, sql: string): Promise<void> {
  await mkdir(join(dir, name), { recursive: true });
  await writeFile(join(dir, name, 'migration.sql'), sql);
}

async function ask(url: string, sql: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Record<string, unknown>>(sql)).rows;
  } finally {
    await client.end();
  }
}

test('four starters at once create the missing database and apply each migration once', async () => {
  const url = missingDatabase();
  const answers = await Promise.all([1, 2, 3, 4].map(() => migrate(url, dir)));
  expect(answers.flat()).toEqual(shipped);
  expect(await migrate(url, dir)).toEqual([]);
  expect(await ask(url, 'SELECT count(*)::int AS n FROM _prisma_migrations')).toEqual([{ n: shipped.length }]);
});

test('a file that was edited after it was applied is refused by name', async () => {
  const url = missingDatabase();
  await write('20990101000000_edited', 'CREATE TABLE edited (id int)');
  await migrate(url, dir);
  await write('20990101000000_edited', 'CREATE TABLE edited (id bigint)');
  await expect(migrate(url, dir)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('20990101000000_edited was edited'),
  });
  await rm(join(dir, '20990101000000_edited'), { recursive: true });
});

test('a database of a newer build is refused', async () => {
  const url = missingDatabase();
  await write('20990102000000_tomorrow', 'CREATE TABLE tomorrow (id int)');
  await migrate(url, dir);
  await rm(join(dir, '20990102000000_tomorrow'), { recursive: true });
  await expect(migrate(url, dir)).rejects.toMatchObject({
    code: 'conflict',
    message: expect.stringContaining('20990102000000_tomorrow'),
  });
});

test('a migration that fails leaves nothing behind and is tried again', async () => {
  const url = missingDatabase();
  await write('20990103000000_broken', 'CREATE TABLE half (id int); SELECT 1/0;');
  await expect(migrate(url, dir)).rejects.toMatchObject({ message: expect.stringContaining('division by zero') });
  expect(await ask(url, `SELECT to_regclass('half') AS half`)).toEqual([{ half: null }]);
  await write('20990103000000_broken', 'CREATE TABLE half (id int)');
  expect(await migrate(url, dir)).toEqual(['20990103000000_broken']);
  await rm(join(dir, '20990103000000_broken'), { recursive: true });
});

test('the database itself refuses words and numbers that make no sense', async () => {
  const url = missingDatabase();
  await migrate(url, dir);
  await ask(url, `INSERT INTO projects (id, name) VALUES ('p', 'p')`);
  const file = (columns: string) =>
    ask(
      url,
      `INSERT INTO files (id, project_id, filename, purpose, size_bytes, sha256, blob_key, status) VALUES ('f', 'p', 'f', 'fine-tune', ${columns})`,
    );
  await expect(file(`1, 's', 'k', 'half'`)).rejects.toThrow('files_status_word');
  await expect(file(`-1, 's', 'k', 'uploaded'`)).rejects.toThrow('files_size_not_negative');
});
