import { AppError } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { hashSecret } from '../ground/secrets.js';

export const deadLink = (): AppError =>
  new AppError('forbidden', 'This link was used already, or is older than ten minutes.', {
    hint: '`npx moraine login` prints a new one.',
  });

/** Looks whether a link can still be redeemed, and leaves it as it is. @throws AppError `forbidden` when it cannot. */
export async function checkLoginLink(s: Services, linkToken: string): Promise<void> {
  const { rowCount } = await s.pg.query(
    'SELECT 1 FROM login_links WHERE hash = $1 AND used_at IS NULL AND expires_at > now()',
    [hashSecret(linkToken)],
  );
  if (rowCount === 0) throw deadLink();
}
