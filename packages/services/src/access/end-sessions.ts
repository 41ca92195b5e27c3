import type { Actor, Services } from '../ground/context.js';
import { hashSecret } from '../ground/secrets.js';

/** Ends the browser session of this token, or without one every session of the caller's project. Returns how many ended. */
export async function endSessions(s: Services, actor: Actor, token: string | null): Promise<number> {
  const { count } = await s.db.session.deleteMany({
    where: { projectId: actor.projectId, ...(token !== null && { hash: hashSecret(token) }) },
  });
  return count;
}
