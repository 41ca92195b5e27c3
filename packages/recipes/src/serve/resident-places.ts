import { invariant } from '@moraine/engine';
import type { Base } from '../base.js';
import type { BaseModel } from './base-model.js';
import type { Budget, Held } from './budget.js';
import { type ModelParts, modelBytes, type OpenModel, openForAnswers } from './open-model.js';
import { type InRowsOfBase, type Merged, readServed } from './resident-adapter.js';
import { type Entry, isIdle, type Place } from './resident-entry.js';

/** Where adapters answer: in rows of the base's model, from the host, or in weights of their own. */
export interface Places {
  /** Where it answers at a share of its update without waiting; null where it has to be brought. */
  now(entry: Entry, lambda: number): Place | null;
  /** Brings it from its files, once for all who wait. @throws AppError as `readServed` does, and where it does not fit in memory. */
  bring(entry: Entry, lambda: number): Promise<Place>;
  /** Gives back what it has of memory. */
  drop(entry: Entry): void;
  /** Gives back what is still being brought, once it has come. */
  close(): void;
}

const SHARES_MAX = 64;

/** @param wantedKinds keys of the kinds that adapters which are loaded have. */
export function createPlaces(
  parts: ModelParts,
  base: Base,
  main: BaseModel,
  budget: Budget,
  wantedKinds: () => Set<string>,
): Places {
  let isClosed = false;
  const nameOf = ({ id }: Entry, lambda: number): string => `${id}@${lambda}`;

  function placeNow(entry: Entry, lambda: number): Place | null {
    const merged = entry.merged.get(lambda);
    if (merged?.model != null) {
      budget.touch(merged);
      return { generator: merged.model.generator, adapter: null, use: merged.model.use };
    }
    const { host, kind } = entry;
    const model = main.current();
    const group = kind === null ? undefined : main.groupOf(kind);
    if (host === null || model === null || group === undefined) return null;
    budget.touch(host);
    const name = nameOf(entry, lambda);
    const { adapters } = model.model;
    if (!adapters.has(name)) {
      forgetShares(entry, adapters);
      adapters.load(name, group, () => hostOf(entry).read.variablesAt(lambda));
    }
    return { generator: model.generator, adapter: name, use: model.use };
  }

  /** Callers may ask for ever more shares of an update: of many, those that nobody answers at are forgotten. */
  function forgetShares(entry: Entry, adapters: OpenModel['model']['adapters']): void {
    const names = adapters.names().filter((name) => name.startsWith(`${entry.id}@`));
    if (names.length < SHARES_MAX) return;
    for (const name of names) if (!entry.usersAt.has(Number(name.split('@')[1]))) adapters.unload(name);
  }

  function hostOf({ host }: Entry): NonNullable<Entry['host']> {
    invariant(host !== null, 'an adapter that is used is on the host');
    return host;
  }

  async function bring(entry: Entry, lambda: number): Promise<Place> {
    const read = entry.host?.read ?? (await readServed(base, entry.id, entry.dir));
    entry.kind = read.kind;
    if (read.kind === null) await openMerged(entry, lambda, read);
    else {
      holdHost(entry, read);
      await main.ready();
      if (main.groupOf(read.kind) === undefined) await main.add(read.kind, wantedKinds());
    }
    // While it was brought, a change of kinds may have begun.
    return placeNow(entry, lambda) ?? bring(entry, lambda);
  }

  function holdHost(entry: Entry, read: InRowsOfBase): void {
    if (entry.host !== null) return;
    const host = {
      read,
      bytes: read.bytes,
      isIdle: () => isIdle(entry),
      drop: () => {
        entry.host = null;
      },
    };
    budget.hold(host, `the adapter ${entry.id.slice(0, 12)}`);
    entry.host = host;
  }

  async function openMerged(entry: Entry, lambda: number, read: Merged): Promise<void> {
    if (entry.merged.has(lambda)) return;
    const merged: Held & { model: OpenModel | null } = {
      model: null,
      bytes: modelBytes(parts.config, parts.plan, base.weights),
      // What is pinned is the adapter as it was trained, not each share that somebody asks for.
      isIdle: () => merged.model !== null && !entry.usersAt.has(lambda) && !(entry.isPinned && lambda === 1),
      drop: () => {
        entry.merged.delete(lambda);
        void merged.model?.close();
      },
    };
    budget.hold(merged, `the merged model of ${entry.id.slice(0, 12)}`);
    entry.merged.set(lambda, merged);
    try {
      merged.model = await openForAnswers(parts, read.weightsAt(lambda));
      if (isClosed) merged.model.dispose();
    } catch (error) {
      entry.merged.delete(lambda);
      budget.release(merged);
      throw error;
    }
  }

  function brought(entry: Entry, lambda: number): Promise<Place> {
    const known = entry.bringing.get(lambda);
    if (known !== undefined) return known;
    const promise = bring(entry, lambda).finally(() => entry.bringing.delete(lambda));
    entry.bringing.set(lambda, promise);
    return promise;
  }

  return {
    now: placeNow,
    bring: brought,
    close: () => {
      isClosed = true;
    },
    drop(entry) {
      for (const held of [...entry.merged.values(), ...(entry.host === null ? [] : [entry.host])]) {
        budget.release(held);
        held.drop();
      }
      const adapters = main.current()?.model.adapters;
      for (const name of adapters?.names() ?? []) if (name.startsWith(`${entry.id}@`)) adapters?.unload(name);
    },
  };
}
