import type { Actor, Services } from '../ground/context.js';
import { hashSecret, newSecret } from '../ground/secrets.js';
import { deadLink } from './check-login-link.js';

const SESSION_MS = 30 * 24 * 3_600_000;

/**
 * Exchanges a link's token for a session's. One statement marks the link as used, so of two browsers one gets in.
 * @throws AppError `forbidden` when the link was used, has run out or never was.
 */
export async function redeemLoginLink(
  s: Services,
  linkToken: string,
): Promise<{ token: string; expiresAt: Date; actor: Actor }> {
  const token = newSecret();
  const expiresAt = new Date(Date.now() + SESSION_MS);
  const { rows } = await s.pg.query<{ project_id: string }>(
    `WITH link AS (UPDATE login_links SET used_at = now() WHERE hash = $1 AND used_at IS NULL AND expires_at > now() RETURNING project_id)
     INSERT INTO sessions (hash, project_id, expires_at) SELECT $2, project_id, $3 FROM link RETURNING project_id`,
    [hashSecret(linkToken), hashSecret(token), expiresAt],
  );
  const session = rows[0];
  if (!session) throw deadLink();
  return { token, expiresAt, actor: { projectId: session.project_id, keyId: null } };
}
