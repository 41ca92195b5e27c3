import { AppError } from '@moraine/contract';
import type { Served } from '@moraine/recipes';
import type { ServedModel } from '@moraine/services';

/** The part of a base's process that answers a request of the API: one model, by its content and under whatever name the request has. */
export function servedFor(served: Served, baseSha256: string, { base, tuned }: ServedModel): Served {
  if (base.sha256 !== baseSha256)
    throw new AppError('unavailable', `This process answers for the base ${baseSha256.slice(0, 12)}.`);
  if (tuned !== null) throw new AppError('unavailable', 'What was trained is not answered with yet.');
  return {
    ...served,
    requireModel: () => undefined,
    begin: (_name, lambda, prompt, options) => served.begin(served.baseName, lambda, prompt, options),
    score: (_name, lambda, prompt, listed) => served.score(served.baseName, lambda, prompt, listed),
  };
}
