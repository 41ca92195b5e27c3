import type pg from 'pg';
import type { Services } from './context.js';
import type { Prisma } from './db.js';
import { isLate } from './patience.js';

/** What runs one statement: a connection inside a transaction, or the pool outside one. */
export interface Queryable {
  query<Row extends pg.QueryResultRow>(sql: string, values: unknown[]): Promise<{ rows: Row[] }>;
}

/** The same over a transaction of Prisma. */
export const queryableOf = (tx: Prisma.TransactionClient): Queryable => ({
  query: async <Row>(sql: string, values: unknown[]) => ({ rows: await tx.$queryRawUnsafe<Row[]>(sql, ...values) }),
});

/** Runs `work` in one transaction on a connection of its own. A connection that breaks or falls silent meanwhile is thrown away. */
export async function inTransaction<T>(s: Services, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await s.pg.connect();
  let broken: Error | undefined;
  const onError = (error: Error): void => {
    broken = error;
  };
  client.on('error', onError);
  try {
    await client.query('BEGIN');
    const result = await work(client);
    await client.query('COMMIT');
    return result;
  } catch (error) {
    // A connection that still waits for an answer would have the rollback wait as long again.
    if (isLate(error)) onError(error as Error);
    else await client.query('ROLLBACK').catch(onError);
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}
