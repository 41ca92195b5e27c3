import type { Actor } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { Finder } from '../ground/find-repeated.js';

const RETRY_LIFE_MS = 60_000;

/** Finds the analysis that a request made. */
export const analysisFinder = (tx: Prisma.TransactionClient, { projectId, keyId }: Actor, hash: string): Finder => ({
  retryLifeMs: RETRY_LIFE_MS,
  async underKey(idempotencyKey) {
    const found = await tx.analysisTask.findUnique({
      where: { projectId_idempotencyKey: { projectId, idempotencyKey } },
      include: { task: { select: { createdAt: true } } },
    });
    return found && { id: found.id, hash: found.requestHash, createdAt: found.task.createdAt };
  },
  freeKey: (idempotencyKey) =>
    tx.analysisTask.updateMany({ where: { projectId, idempotencyKey }, data: { idempotencyKey: null } }),
  since: (moment) =>
    tx.analysisTask.findFirst({
      where: { projectId, keyId, requestHash: hash, task: { createdAt: { gt: moment } } },
      orderBy: { task: { createdAt: 'desc' } },
    }),
});
