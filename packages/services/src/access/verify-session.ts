import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { hashSecret } from '../ground/secrets.js';

/** Who a browser's session belongs to. @throws AppError `invalid_api_key` when it is unknown or has run out. */
export async function verifySession(s: Services, token: string): Promise<Actor> {
  const session = await s.db.session.findUnique({ where: { hash: hashSecret(token) } });
  if (!session || session.expiresAt <= new Date()) {
    throw new AppError('invalid_api_key', 'This browser session is not known here, or has run out.', {
      hint: '`npx moraine login` prints a link that starts a new one.',
    });
  }
  return { projectId: session.projectId, keyId: null };
}
