import pg from 'pg';

/** The clock of a database as a test sets it. */
export interface DatabaseClock {
  /** Puts the clock on (or back) by so much, for every connection at once. Milliseconds, counted from the true time. */
  setTo(stepMs: number): Promise<void>;
}

const SETUP = `
CREATE SCHEMA test_clock;
CREATE TABLE test_clock.step AS SELECT interval '0' AS by;
CREATE FUNCTION test_clock.now() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT pg_catalog.now() + (SELECT by FROM test_clock.step)';
CREATE FUNCTION test_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
  'SELECT pg_catalog.clock_timestamp() + (SELECT by FROM test_clock.step)';
DO $$ DECLARE c record; BEGIN
  FOR c IN SELECT table_name, column_name FROM information_schema.columns
    WHERE table_schema = 'public' AND (column_default ILIKE '%CURRENT_TIMESTAMP%' OR column_default ILIKE '%clock_timestamp%')
  LOOP EXECUTE format('ALTER TABLE public.%I ALTER %I SET DEFAULT test_clock.now()', c.table_name, c.column_name); END LOOP;
  EXECUTE format('ALTER DATABASE %I SET search_path = test_clock, pg_catalog, public', current_database());
END $$`;

/**
 * Makes the clock of a migrated database settable: connections that are opened from then on find our now() and clock_timestamp() before
 * Postgres' own. The clock of the machine stays as it is, so other tests see nothing of it.
 */
export async function databaseClock(databaseUrl: string): Promise<DatabaseClock> {
  const query = async (sql: string, values: unknown[] = []): Promise<void> => {
    const client = new pg.Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      await client.query(sql, values);
    } finally {
      await client.end();
    }
  };
  await query(SETUP);
  return {
    setTo: (stepMs) => query(`UPDATE test_clock.step SET by = $1 * interval '1 millisecond'`, [stepMs]),
  };
}
