import { newId } from '@moraine/contract';
import type { Services } from '../context.js';
import { hashSecret, newSecret } from '../secrets.js';

export interface NewApiKey {
  id: string;
  /** Shown once; only its hash is stored. */
  key: string;
  name: string;
  hint: string;
}

/** A bearer key for a project: a new one, or the secret that an operator chose (at least 32 characters after `mk-`). */
export async function createApiKey(
  s: Services,
  { projectId }: { projectId: string },
  { name, key = `mk-${newSecret()}` }: { name: string; key?: string },
): Promise<NewApiKey> {
  const hint = `${key.slice(0, 7)}…`;
  const { id } = await s.db.apiKey.create({
    data: { id: newId('apiKey'), projectId, name, hash: hashSecret(key), hint },
  });
  return { id, key, name, hint };
}
