import { timingSafeEqual } from 'node:crypto';
import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { hashSecret } from '../ground/secrets.js';

const CACHE_MS = 5_000;
const CACHE_SIZE_MAX = 10_000;
/** Last use is for people; writing it at every request would only cost. */
const LAST_USED_EVERY_MS = 60_000;

interface Cached {
  actor: Actor;
  until: number;
}
const caches = new WeakMap<Services, Map<string, Cached>>();

/**
 * Who a bearer key belongs to. The look-up is by hash, so its time tells nothing about stored keys; found keys are remembered for 5 s.
 * @throws AppError `invalid_api_key`.
 */
export async function verifyApiKey(s: Services, key: string): Promise<Actor> {
  const hash = hashSecret(key);
  const cache = caches.get(s) ?? new Map<string, Cached>();
  caches.set(s, cache);
  const cached = cache.get(hash);
  if (cached && cached.until > performance.now()) return cached.actor;

  const row = await s.db.apiKey.findUnique({ where: { hash } });
  if (!row || row.revokedAt !== null || !timingSafeEqual(Buffer.from(row.hash), Buffer.from(hash))) {
    throw new AppError('invalid_api_key', 'This API key is not known here, or was revoked.', {
      hint: '`npx moraine env` prints the key of the local stack.',
    });
  }
  const actor: Actor = { projectId: row.projectId, keyId: row.id };
  if (cache.size >= CACHE_SIZE_MAX) cache.clear();
  cache.set(hash, { actor, until: performance.now() + CACHE_MS });
  if (row.lastUsedAt === null || Date.now() - row.lastUsedAt.getTime() > LAST_USED_EVERY_MS) {
    await s.db.apiKey.update({ where: { id: row.id }, data: { lastUsedAt: new Date() } });
  }
  return actor;
}
