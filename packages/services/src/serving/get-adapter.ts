import { type AdapterObject, AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { TunedPlace } from '../training/find-subject.js';
import { findServed, type ServedModel } from './find-served.js';
import { readLoaded } from './loaded-places.js';
import { toAdapterObject } from './to-adapter-object.js';

/** Where processes have what was trained; `processes` is empty where none has it. @throws AppError as `findTrained` does. */
export async function getAdapter(s: Services, actor: Actor, name: string): Promise<AdapterObject> {
  const { base, tuned } = await findTrained(s, actor, name);
  const facts = { name, base: base.name, baseSha256: base.sha256, sha256: tuned.sha256 };
  return toAdapterObject(facts, await readLoaded(s, actor));
}

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
