import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { TunedPlace } from '../training/find-subject.js';
import { findServed, type ServedModel } from './find-served.js';

/** What a name stands for that is no base. @throws AppError `not_found` as `findServed` does; `invalid_value` for a base. */
export async function findTrained(
  s: Services,
  actor: Actor,
  name: string,
): Promise<ServedModel & { tuned: TunedPlace }> {
  const { tuned, ...rest } = await findServed(s, actor, name);
  if (tuned !== null) return { ...rest, tuned };
  throw new AppError('invalid_value', `'${name}' is a base: it is in memory for as long as a process answers for it.`, {
    param: 'model',
    hint: 'Name a registered adapter, ft:…, or ft:…:ckpt-step-N.',
  });
}
