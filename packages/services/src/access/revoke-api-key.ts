import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';

/** Ends a key. Other processes may accept it for as long as their cache keeps it (5 s). */
export async function revokeApiKey(s: Services, actor: Actor, id: string): Promise<void> {
  const { count } = await s.db.apiKey.updateMany({
    where: { id, projectId: actor.projectId, revokedAt: null },
    data: { revokedAt: new Date() },
  });
  if (count === 0) throw new AppError('not_found', `No API key '${id}'.`, { param: 'id' });
}
