import { AppError } from '@moraine/contract';
import type { Served } from '@moraine/recipes';
import type { ServedModel } from '@moraine/services';
import type { Trained } from './trained.js';

/** @throws AppError `unavailable` for another base than this process has. */
export function requireBase({ sha256 }: ServedModel['base'], baseSha256: string): void {
  if (sha256 === baseSha256) return;
  throw new AppError('unavailable', `This process answers for the base ${baseSha256.slice(0, 12)}.`);
}

/**
 * The part of a base's process that answers a request of the API: one model, by its content and under whatever name the request has.
 * @throws AppError `unavailable` for another base, and as `Trained.idOf` does: a bad adapter is refused alone, and never answered by the base.
 */
export async function servedFor(
  served: Served,
  trained: Pick<Trained, 'idOf'>,
  baseSha256: string,
  { tenant, base, tuned }: ServedModel,
): Promise<Served> {
  requireBase(base, baseSha256);
  const id = tuned === null ? served.baseName : await trained.idOf(tuned);
  return {
    ...served,
    // Its own name is a hash, which says nothing to whoever asked.
    baseName: base.name,
    requireModel: () => undefined,
    begin: (_name, lambda, prompt, options) => served.begin(id, lambda, prompt, { ...options, tenant }),
    // Of several prompts that are scored in turn, the adapter may have been unloaded before the next.
    score: async (_name, lambda, prompt, listed) =>
      served.score(tuned === null ? id : await trained.idOf(tuned), lambda, prompt, listed),
  };
}
