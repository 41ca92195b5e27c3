import type { AdapterObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { type Page, toPage } from '../ground/paging.js';
import { namesOf } from './loaded-names.js';
import { readLoaded } from './loaded-places.js';
import { toAdapterObject } from './to-adapter-object.js';

/** What was trained in the caller's project and is loaded in processes that answer, by name. */
export async function listAdapters(s: Services, actor: Actor): Promise<Page<AdapterObject>> {
  const loaded = await readLoaded(s, actor);
  const known = await namesOf(s, actor, [...new Set(loaded.map(({ sha256 }) => sha256))]);
  const adapters = known
    .map((one) => toAdapterObject({ ...one, name: one.names[0] ?? '' }, loaded))
    .filter(({ processes }) => processes.length > 0)
    .sort((a, b) => a.id.localeCompare(b.id));
  return toPage(adapters, adapters.length);
}
