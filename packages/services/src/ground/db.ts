import { PrismaPg } from '@prisma/adapter-pg';
import { PrismaClient } from './generated/client.js';
import { PATIENCE, type Patience } from './patience.js';
import { MeasuredPool } from './pool.js';
import { statementName } from './prepared.js';

export type { PrismaClient } from './generated/client.js';
export { Prisma } from './generated/client.js';

export interface PoolOptions {
  onError: (error: Error) => void;
  patience: Patience;
  connectionsMax?: number;
}

/**
 * The pool that Prisma and hand-written SQL share. A broken idle connection is dropped and reported, never thrown into the process; no
 * statement is waited for without end.
 */
export function openPool(databaseUrl: string, { onError, patience, connectionsMax = 10 }: PoolOptions): MeasuredPool {
  const { statementMs, queryMs } = PATIENCE[patience];
  const pool = new MeasuredPool({
    connectionString: databaseUrl,
    max: connectionsMax,
    connectionTimeoutMillis: CONNECTION_MS,
    query_timeout: queryMs,
    keepAlive: true,
    application_name: 'moraine',
    // Said on the connection and not in its first message, which poolers between us and Postgres refuse to pass on.
    onConnect: async (client) => {
      await client.query(
        `SET statement_timeout = ${statementMs}; SET idle_in_transaction_session_timeout = ${queryMs}`,
      );
    },
  });
  pool.on('error', onError);
  return pool;
}

const CONNECTION_MS = 5_000;

/** Prisma over the shared pool; closing the pool stays with its owner. */
export function openPrisma(pool: MeasuredPool, patience: Patience): PrismaClient {
  return new PrismaClient({
    // As patient as single statements are: its own bounds of a transaction are 2 and 5 s.
    transactionOptions: { maxWait: CONNECTION_MS, timeout: PATIENCE[patience].queryMs },
    adapter: new PrismaPg(pool, {
      disposeExternalPool: false,
      // A list of ids has a text for each length of it; those stay without a name.
      statementNameGenerator: ({ sql }) => (/ IN \(\$\d+,/.test(sql) ? undefined : statementName(sql)) as string,
    }),
  });
}
