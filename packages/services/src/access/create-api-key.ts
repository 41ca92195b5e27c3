import { AppError, newId } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import { hashSecret, newSecret } from '../ground/secrets.js';

export interface NewApiKey {
  id: string;
  /** Shown once; only its hash is stored. */
  key: string;
  name: string;
  hint: string;
}

const FORM = /^mk-[\w-]{32,253}$/;

/**
 * A bearer key for a project: a new one, or the secret that an operator chose (at least 32 characters after `mk-`).
 * @throws AppError `invalid_value` for a secret that could be guessed or does not fit a header.
 */
export async function createApiKey(
  s: Services,
  { projectId }: { projectId: string },
  { name, key = `mk-${newSecret()}` }: { name: string; key?: string },
): Promise<NewApiKey> {
  if (!FORM.test(key)) {
    throw new AppError('invalid_value', 'The chosen API key is not mk- and 32 to 253 letters, digits, - or _.', {
      hint: 'Make one: echo mk-$(openssl rand -hex 32). Or leave it out to have one made.',
    });
  }
  const hint = `${key.slice(0, 7)}…`;
  const { id } = await s.db.apiKey.create({
    data: { id: newId('apiKey'), projectId, name, hash: hashSecret(key), hint },
  });
  return { id, key, name, hint };
}
