import type { Actor } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { Finder } from '../ground/find-repeated.js';
import { requestHash } from '../ground/request-hash.js';

/** A stock client waits ten minutes for an answer before it sends a file again. */
const RETRY_LIFE_MS = 11 * 60_000;

/** What makes two uploads the same. */
export interface FileIdentity {
  filename: string;
  purpose: string;
  sha256: string;
}

export const fileHash = ({ filename, purpose, sha256 }: FileIdentity): string =>
  requestHash({ filename, purpose, sha256 });

/** Finds the file that an upload made; one that was deleted since is not found. */
export const fileFinder = (
  tx: Prisma.TransactionClient,
  { projectId, keyId }: Actor,
  { filename, purpose, sha256 }: FileIdentity,
): Finder => ({
  retryLifeMs: RETRY_LIFE_MS,
  async underKey(idempotencyKey) {
    const file = await tx.file.findFirst({ where: { projectId, idempotencyKey, deletedAt: null } });
    return file && { id: file.id, hash: fileHash(file), createdAt: file.createdAt };
  },
  freeKey: (idempotencyKey) =>
    tx.file.updateMany({ where: { projectId, idempotencyKey }, data: { idempotencyKey: null } }),
  since: (moment) =>
    tx.file.findFirst({
      where: { projectId, keyId, filename, purpose, sha256, deletedAt: null, createdAt: { gt: moment } },
      orderBy: { createdAt: 'desc' },
    }),
});
