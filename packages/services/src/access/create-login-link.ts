import type { Actor, Services } from '../ground/context.js';
import { hashSecret, newSecret } from '../ground/secrets.js';

const LIFE_MS = 10 * 60_000;

/** A token that a browser may exchange once for a session, within ten minutes. */
export async function createLoginLink(s: Services, actor: Actor): Promise<{ token: string; expiresAt: Date }> {
  const token = newSecret();
  const expiresAt = new Date(Date.now() + LIFE_MS);
  await s.db.loginLink.create({ data: { hash: hashSecret(token), projectId: actor.projectId, expiresAt } });
  return { token, expiresAt };
}
