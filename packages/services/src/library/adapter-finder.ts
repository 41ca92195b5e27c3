import type { Actor } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { Finder } from '../ground/find-repeated.js';
import { requestHash } from '../ground/request-hash.js';

/** What makes two registrations of an adapter the same. */
export interface AdapterIdentity {
  name: string;
  /** Of the folder. */
  sha256: string;
  baseId: string;
}

export const adapterHash = ({ name, sha256, baseId }: AdapterIdentity): string => requestHash({ name, sha256, baseId });

/** Finds the adapter that a request registered. The same files under the same name are found without a key, however old they are. */
export const adapterFinder = (
  tx: Prisma.TransactionClient,
  { projectId }: Actor,
  { name, sha256, baseId }: AdapterIdentity,
): Finder => ({
  retryLifeMs: 0,
  async underKey(idempotencyKey) {
    const found = await tx.uploadedAdapter.findFirst({ where: { projectId, idempotencyKey, deletedAt: null } });
    return found && { id: found.id, hash: adapterHash(found), createdAt: found.createdAt };
  },
  freeKey: (idempotencyKey) =>
    tx.uploadedAdapter.updateMany({ where: { projectId, idempotencyKey }, data: { idempotencyKey: null } }),
  since: () => tx.uploadedAdapter.findFirst({ where: { projectId, name, sha256, baseId, deletedAt: null } }),
});
