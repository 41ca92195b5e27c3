import type { Services } from './context.js';
import { Prisma } from './db.js';

/**
 * Reads that belong together as of one moment. Prisma reads each table of an `include` by a statement of its own: between two of them a task can end, and then its row
 * says `succeeded` beside figures from before.
 */
export const inSnapshot = <T>(s: Services, read: (tx: Prisma.TransactionClient) => Promise<T>): Promise<T> =>
  s.db.$transaction(read, { isolationLevel: Prisma.TransactionIsolationLevel.RepeatableRead });
