import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { AppError } from '@moraine/contract';
import pg from 'pg';

/** Prisma's own advisory lock and table, so that its commands and this applier keep out of each other's way. */
const LOCK = 72707369;
const TABLE = `CREATE TABLE IF NOT EXISTS _prisma_migrations (
  id VARCHAR(36) PRIMARY KEY NOT NULL, checksum VARCHAR(64) NOT NULL, finished_at TIMESTAMPTZ, migration_name VARCHAR(255) NOT NULL,
  logs TEXT, rolled_back_at TIMESTAMPTZ, started_at TIMESTAMPTZ NOT NULL DEFAULT now(), applied_steps_count INTEGER NOT NULL DEFAULT 0)`;

interface Applied {
  migration_name: string;
  checksum: string;
  finished_at: Date | null;
}

const migrationsHere = (): string => fileURLToPath(new URL('../../../../prisma/migrations', import.meta.url));

/**
 * Brings a database to the newest migration and answers the names that were applied now. Creates the database when it is missing. Any
 * number may start at once: one applies, the others find nothing to do. A file that fails is rolled back whole and tried again next time.
 * @throws AppError `conflict` when an applied file was edited, when one failed under Prisma's own tool, or when the database has
 * migrations that this build does not know (it is older than the database).
 */
export async function migrate(databaseUrl: string, migrationsDir = migrationsHere()): Promise<string[]> {
  await createDatabase(databaseUrl);
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [LOCK]);
    await client.query(TABLE);
    const { rows } = await client.query<Applied>(
      'SELECT migration_name, checksum, finished_at FROM _prisma_migrations WHERE rolled_back_at IS NULL',
    );
    const entries = await readdir(migrationsDir, { withFileTypes: true });
    const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
    refuseNewer(rows, names);
    const applied: string[] = [];
    for (const name of names.sort()) {
      const bytes = await readFile(join(migrationsDir, name, 'migration.sql'));
      const checksum = createHash('sha256').update(bytes).digest('hex');
      const before = rows.find((row) => row.migration_name === name);
      if (before) refuseChanged(before, checksum);
      else {
        await apply(client, name, checksum, bytes.toString('utf8'));
        applied.push(name);
      }
    }
    return applied;
  } finally {
    await client.end();
  }
}

async function apply(client: pg.Client, name: string, checksum: string, sql: string): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(sql);
    await client.query(
      'INSERT INTO _prisma_migrations (id, checksum, migration_name, finished_at, applied_steps_count) VALUES ($1, $2, $3, now(), 1)',
      [randomUUID(), checksum, name],
    );
    await client.query('COMMIT');
  } catch (cause) {
    await client.query('ROLLBACK');
    throw new AppError('internal', `Migration ${name} failed and was rolled back: ${String(cause)}.`, { cause });
  }
}

function refuseChanged(before: Applied, checksum: string): void {
  if (!before.finished_at) {
    throw new AppError('conflict', `Migration ${before.migration_name} failed earlier and is half applied.`, {
      hint: `Mend the database, then: npx prisma migrate resolve --rolled-back ${before.migration_name}`,
    });
  }
  if (before.checksum !== checksum) {
    throw new AppError(
      'conflict',
      `Migration ${before.migration_name} was edited after it was applied to this database.`,
      {
        hint: 'Restore the file and put the change into a new migration.',
      },
    );
  }
}

function refuseNewer(rows: readonly Applied[], names: readonly string[]): void {
  const unknown = rows.map((row) => row.migration_name).filter((name) => !names.includes(name));
  if (unknown.length > 0) {
    throw new AppError(
      'conflict',
      `The database has migrations that this build does not know: ${unknown.sort().join(', ')}.`,
      {
        hint: 'It was used by a newer Moraine. Start that version, or point DATABASE_URL at another database.',
      },
    );
  }
}

/** Two creators at once: the loser's 42P04 (or a unique violation on the catalogue) means that the database is there. */
async function createDatabase(databaseUrl: string): Promise<void> {
  const probe = new pg.Client({ connectionString: databaseUrl });
  try {
    await probe.connect();
    return;
  } catch (error) {
    if ((error as { code?: string }).code !== '3D000') throw error;
  } finally {
    await probe.end().catch(() => undefined);
  }
  const url = new URL(databaseUrl);
  const name = decodeURIComponent(url.pathname.slice(1));
  url.pathname = '/postgres';
  const admin = new pg.Client({ connectionString: url.toString() });
  await admin.connect();
  try {
    await admin.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
  } catch (error) {
    if (!['42P04', '23505'].includes((error as { code?: string }).code ?? '')) throw error;
  } finally {
    await admin.end();
  }
}
