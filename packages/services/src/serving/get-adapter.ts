import type { AdapterObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { findTrained } from './find-trained.js';
import { readLoaded } from './loaded-places.js';
import { toAdapterObject } from './to-adapter-object.js';

/** Where processes have what was trained; `processes` is empty where none has it. @throws AppError as `findTrained` does. */
export async function getAdapter(s: Services, actor: Actor, name: string): Promise<AdapterObject> {
  const { base, tuned } = await findTrained(s, actor, name);
  const facts = { name, base: base.name, baseSha256: base.sha256, sha256: tuned.sha256 };
  return toAdapterObject(facts, await readLoaded(s, actor));
}
