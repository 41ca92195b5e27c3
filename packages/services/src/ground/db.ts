import { PrismaPg } from '@prisma/adapter-pg';
import pg from 'pg';
import { PrismaClient } from './generated/client.js';

export type { PrismaClient } from './generated/client.js';
export { Prisma } from './generated/client.js';

/** The pool that Prisma and hand-written SQL share. A broken idle connection is dropped and reported, never thrown into the process. */
export function openPool(databaseUrl: string, onError: (error: Error) => void, connectionsMax = 10): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: connectionsMax,
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    application_name: 'moraine',
  });
  pool.on('error', onError);
  return pool;
}

/** Prisma over the shared pool; closing the pool stays with its owner. */
export function openPrisma(pool: pg.Pool): PrismaClient {
  return new PrismaClient({ adapter: new PrismaPg(pool, { disposeExternalPool: false }) });
}
