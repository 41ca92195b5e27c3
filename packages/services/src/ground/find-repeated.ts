import { AppError } from '@moraine/contract';
import type { Actor } from './context.js';
import type { Prisma } from './db.js';

/** How long a request under an Idempotency-Key finds what it made. */
const KEY_LIFE_MS = 24 * 3_600_000;

export interface Repeatable {
  /** Header `Idempotency-Key`. */
  idempotencyKey?: string;
  /** Header `X-Stainless-Retry-Count`: the stock clients send it when they post the same again after an error or a lost answer. */
  retryCount?: number;
}

/** Something that a request made. */
export interface Made {
  id: string;
  /** Hash of the request; the same for the same request. */
  hash: string;
  createdAt: Date;
}

/** How one kind of object is found by the request that made it. */
export interface Finder {
  /** What was made under an Idempotency-Key, and is still there. */
  underKey(idempotencyKey: string): Promise<Made | null>;
  /** Frees the key of something that is older than a key lives, or gone. */
  freeKey(idempotencyKey: string): Promise<unknown>;
  /** The newest that the same API key made by the same request since then. */
  since(moment: Date): Promise<{ id: string } | null>;
  /** How long a client's own retry, without an Idempotency-Key, finds what its first try made. */
  retryLifeMs: number;
}

/**
 * The id of what this very request made before, or null. Takes a lock until the transaction ends, so a retry that overtakes its first try
 * waits for it. First tries of equal requests share the lock: each makes its own, and none waits for another.
 * @throws AppError `conflict` when the key was used for another request.
 */
export async function findRepeated(
  tx: Prisma.TransactionClient,
  { projectId }: Actor,
  hash: string,
  { idempotencyKey, retryCount = 0 }: Repeatable,
  find: Finder,
): Promise<string | null> {
  const lock = `${projectId} ${idempotencyKey ?? hash}`;
  if (idempotencyKey === undefined && retryCount < 1) {
    await tx.$queryRaw`SELECT pg_advisory_xact_lock_shared(hashtextextended(${lock}, 0))::text`;
    return null;
  }
  await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${lock}, 0))::text`;
  if (idempotencyKey === undefined) return (await find.since(new Date(Date.now() - find.retryLifeMs)))?.id ?? null;
  const made = await find.underKey(idempotencyKey);
  if (!made || Date.now() - made.createdAt.getTime() > KEY_LIFE_MS) {
    await find.freeKey(idempotencyKey);
    return null;
  }
  if (made.hash === hash) return made.id;
  throw new AppError('conflict', `The Idempotency-Key '${idempotencyKey}' made ${made.id} out of another request.`, {
    param: 'Idempotency-Key',
    hint: 'Take a new key for a new request.',
  });
}
