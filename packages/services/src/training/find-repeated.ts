import { AppError } from '@moraine/contract';
import type { Actor } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';

/** How long a repeated request answers the first run: with an Idempotency-Key, and for a client's own retry without one. */
const KEY_LIFE_MS = 24 * 3_600_000;
const RETRY_LIFE_MS = 60_000;

export interface Repeatable {
  /** Header `Idempotency-Key`. */
  idempotencyKey?: string;
  /** Header `X-Stainless-Retry-Count`: the stock clients send it when they post the same again after an error or a lost answer. */
  retryCount?: number;
}

/**
 * The id of the run that this very request made before, or null. Takes a lock until the transaction ends, so a retry that overtakes
 * its first try waits for it.
 * @throws AppError `conflict` when the key was used for another request.
 */
export async function findRepeated(
  tx: Prisma.TransactionClient,
  actor: Actor,
  hash: string,
  { idempotencyKey, retryCount = 0 }: Repeatable,
): Promise<string | null> {
  const { projectId, keyId } = actor;
  await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`${projectId} ${idempotencyKey ?? hash}`}, 0))::text`;
  if (idempotencyKey !== undefined) {
    const run = await tx.run.findUnique({
      where: { projectId_idempotencyKey: { projectId, idempotencyKey } },
      include: { task: { select: { createdAt: true } } },
    });
    if (!run) return null;
    if (Date.now() - run.task.createdAt.getTime() > KEY_LIFE_MS) {
      await tx.run.update({ where: { id: run.id }, data: { idempotencyKey: null } });
      return null;
    }
    if (run.requestHash === hash) return run.id;
    throw new AppError('conflict', `The Idempotency-Key '${idempotencyKey}' made ${run.id} out of another request.`, {
      param: 'Idempotency-Key',
      hint: 'Take a new key for a new request.',
    });
  }
  if (retryCount < 1) return null;
  const run = await tx.run.findFirst({
    where: { projectId, keyId, requestHash: hash, task: { createdAt: { gt: new Date(Date.now() - RETRY_LIFE_MS) } } },
    orderBy: { task: { createdAt: 'desc' } },
  });
  return run?.id ?? null;
}
