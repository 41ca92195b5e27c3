import type { ModelObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { prepared } from '../ground/prepared.js';
import { namesOf } from './loaded-names.js';
import { readLoaded } from './loaded-places.js';

type Resident = NonNullable<ModelObject['resident']>[number];

const BASES = `
  SELECT b.name, p.id AS process FROM inference_processes p JOIN bases b ON b.sha256 = p.base_sha256
  WHERE b.project_id = $1 AND b.deleted_at IS NULL AND p.status = 'ready' AND p.lease_until > now() ORDER BY p.id`;

/** Models of the caller's project, each with the processes that answer with it. */
export async function withPlaces(s: Services, actor: Actor, models: readonly ModelObject[]): Promise<ModelObject[]> {
  const byName = new Map<string, Resident[]>();
  const add = (name: string, ...places: Resident[]): void => {
    byName.set(name, [...(byName.get(name) ?? []), ...places]);
  };
  const query = prepared(BASES, [actor.projectId]);
  const [{ rows: bases }, loaded] = await Promise.all([
    s.pg.query<{ name: string; process: string }>(query),
    readLoaded(s, actor),
  ]);
  for (const { name, process } of bases) add(name, { process, place: 'base' });
  for (const { names, baseSha256, sha256 } of await namesOf(s, actor, [...new Set(loaded.map((one) => one.sha256))])) {
    const own = loaded.filter((one) => one.sha256 === sha256 && one.baseSha256 === baseSha256);
    for (const name of names) add(name, ...own.map(({ at }) => ({ process: at.id, place: at.place })));
  }
  return models.map((model) => ({ ...model, resident: byName.get(model.id) ?? [] }));
}
