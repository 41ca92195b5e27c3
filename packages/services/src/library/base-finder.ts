import type { Actor } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { Finder } from '../ground/find-repeated.js';
import { requestHash } from '../ground/request-hash.js';

/** What makes two registrations the same. */
export interface BaseIdentity {
  name: string;
  /** Of the folder. */
  sha256: string;
}

export const baseHash = ({ name, sha256 }: BaseIdentity): string => requestHash({ name, sha256 });

/** Finds the base that a request registered. The same files under the same name are found without a key, however old they are. */
export const baseFinder = (
  tx: Prisma.TransactionClient,
  { projectId }: Actor,
  { name, sha256 }: BaseIdentity,
): Finder => ({
  retryLifeMs: 0,
  async underKey(idempotencyKey) {
    const base = await tx.base.findFirst({ where: { projectId, idempotencyKey, deletedAt: null } });
    return base && { id: base.id, hash: baseHash(base), createdAt: base.createdAt };
  },
  freeKey: (idempotencyKey) =>
    tx.base.updateMany({ where: { projectId, idempotencyKey }, data: { idempotencyKey: null } }),
  since: () => tx.base.findFirst({ where: { projectId, name, sha256, deletedAt: null } }),
});
