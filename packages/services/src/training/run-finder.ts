import type { Actor } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { Finder } from '../ground/find-repeated.js';

const RETRY_LIFE_MS = 60_000;

/** Finds the run that a request made. */
export const runFinder = (tx: Prisma.TransactionClient, { projectId, keyId }: Actor, hash: string): Finder => ({
  retryLifeMs: RETRY_LIFE_MS,
  async underKey(idempotencyKey) {
    const run = await tx.run.findUnique({
      where: { projectId_idempotencyKey: { projectId, idempotencyKey } },
      include: { task: { select: { createdAt: true, deletedAt: true } } },
    });
    return run?.task.deletedAt === null ? { id: run.id, hash: run.requestHash, createdAt: run.task.createdAt } : null;
  },
  freeKey: (idempotencyKey) =>
    tx.run.updateMany({ where: { projectId, idempotencyKey }, data: { idempotencyKey: null } }),
  since: (moment) =>
    tx.run.findFirst({
      where: { projectId, keyId, requestHash: hash, task: { createdAt: { gt: moment }, deletedAt: null } },
      orderBy: { task: { createdAt: 'desc' } },
    }),
});
