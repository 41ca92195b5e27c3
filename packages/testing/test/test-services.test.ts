import { afterAll, expect, test } from 'vitest';
import { testDatabase, testServices } from '../src/index.js';

const closers: (() => Promise<void>)[] = [];
afterAll(async () => {
  for (const close of closers) await close();
});

test('services of one file see nothing of the services of another', async () => {
  const [a, b] = await Promise.all([testServices(), testServices()]);
  closers.push(a.close, b.close);
  await a.services.pg.query('CREATE TABLE only_here (id int)');
  await a.services.redis.set('only', 'here');
  const { rows } = await b.services.pg.query<{ found: string | null }>(
    "SELECT to_regclass('only_here')::text AS found",
  );
  expect(rows[0]?.found).toBeNull();
  expect(await b.services.redis.get('only')).toBeNull();
  expect(await a.services.redis.get('only')).toBe('here');
});

test('a migrated database holds the tables of the schema and an empty one does not', async () => {
  const empty = await testDatabase();
  closers.push(empty.close);
  const migrated = await testServices();
  closers.push(migrated.close);
  const { rows } = await migrated.services.pg.query<{ n: number }>(
    "SELECT count(*)::int AS n FROM information_schema.tables WHERE table_schema = 'public'",
  );
  expect(rows[0]?.n).toBeGreaterThan(5);
  expect(empty.databaseUrl).not.toBe(migrated.databaseUrl);
});
