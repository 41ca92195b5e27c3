import { AppError } from '@moraine/contract';
import { invariant } from '@moraine/engine';
import type { Base } from '../base.js';
import type { BaseModel } from './base-model.js';
import type { Budget, Held } from './budget.js';
import { type ModelParts, modelBytes, type OpenModel, openForAnswers } from './open-model.js';
import { type ReadServed, readServed } from './resident-adapter.js';
import { countUser, type Entry, isIdle, isInMemory, isLeaving, newEntry, type Place } from './resident-entry.js';

/** An adapter that a server answers with, and where it is. */
export interface Resident {
  /** Hash of its files (`hashTrained`). */
  id: string;
  /**
   * `slot`: in a row of the base's caches, and on the host. `host`: in memory. `merged`: in weights of its own. `disk`: its files alone; it is
   * brought when it is asked.
   */
  kind: 'slot' | 'host' | 'merged' | 'disk';
  pinned: boolean;
  /** What it takes of memory. */
  bytes: number;
}

export interface LoadOptions {
  id: string;
  /** An adapter in any form that is read, a checkpoint, or a whole model of the base's shapes; it stays while the adapter is loaded. */
  dir: string;
  /** It keeps its place in memory. */
  pinned?: boolean;
}

/** What is loaded, in memory or on the disk. */
export interface Residents {
  load(options: LoadOptions): Promise<void>;
  unload(id: string): Promise<void>;
  pin(id: string, isPinned: boolean): void;
  list(): Resident[];
  has(id: string): boolean;
  /** Whether it is loaded and not on the disk alone. */
  isInMemory(id: string): boolean;
  /**
   * Where an adapter answers at a share of its update, now or once it was brought. It stays until `release`.
   * @throws AppError `not_found`.
   */
  take(id: string, lambda: number): { place: Place | Promise<Place>; release(): void };
  dispose(): void;
}

const SHARES_MAX = 64;

export function createResidents(parts: ModelParts, base: Base, main: BaseModel, budget: Budget): Residents {
  const entries = new Map<string, Entry>();
  const nameOf = ({ id }: Entry, lambda: number): string => `${id}@${lambda}`;

  const findEntry = (id: string): Entry | null => {
    const entry = entries.get(id);
    return entry?.state === 'loaded' ? entry : null;
  };
  const requireEntry = (id: string): Entry => {
    const entry = findEntry(id);
    if (entry !== null) return entry;
    throw new AppError('not_found', `No adapter ${id} is loaded.`, { param: 'id', hint: 'Load it first.' });
  };

  /** Where it answers without waiting. */
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

  const wantedKinds = (): Set<string> => new Set([...entries.values()].flatMap(({ kind }) => kind?.key ?? []));

  function holdHost(entry: Entry, read: ReadServed): void {
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

  async function openMerged(entry: Entry, lambda: number, read: ReadServed): Promise<void> {
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

  const use = (entry: Entry, lambda: number): (() => void) =>
    countUser(entry, lambda, () => {
      if (entry.state !== 'loaded') forget(entry);
    });

  /** One that was unloaded is asked for again before its last answer has ended. */
  function comeBack(entry: Entry): void {
    entry.state = 'loading';
    for (const go of entry.whenGone.splice(0)) go();
  }

  function forget(entry: Entry): void {
    entries.delete(entry.id);
    for (const go of entry.whenGone.splice(0)) go();
    for (const held of [...entry.merged.values(), ...(entry.host === null ? [] : [entry.host])]) {
      budget.release(held);
      held.drop();
    }
    const adapters = main.current()?.model.adapters;
    for (const name of adapters?.names() ?? []) if (name.startsWith(`${entry.id}@`)) adapters?.unload(name);
  }

  return {
    has: (id) => findEntry(id) !== null,
    isInMemory: (id) => {
      const entry = findEntry(id);
      return entry !== null && isInMemory(entry);
    },
    async load({ id, dir, pinned = false }) {
      const entry = entries.get(id) ?? newEntry(id, dir);
      entries.set(id, entry);
      if (!isInMemory(entry) || entry.state === 'leaving') entry.dir = dir;
      // It is read and checked again with its next answer.
      if (entry.state === 'loaded' && !pinned) return;
      if (entry.state === 'leaving') comeBack(entry);
      const release = use(entry, 1);
      try {
        if (placeNow(entry, 1) === null) await brought(entry, 1);
        // It may have been unloaded meanwhile: the load wins.
        if (isLeaving(entry)) comeBack(entry);
        entry.state = 'loaded';
        if (pinned) entry.isPinned = true;
      } finally {
        release();
      }
    },
    async unload(id) {
      const entry = requireEntry(id);
      entry.state = 'leaving';
      entry.isPinned = false;
      if (entry.users === 0) return forget(entry);
      await new Promise<void>((resolve) => {
        entry.whenGone.push(resolve);
      });
    },
    pin: (id, isPinned) => {
      requireEntry(id).isPinned = isPinned;
    },
    list: () => {
      const seated = new Set(
        main
          .current()
          ?.model.adapters.seated()
          .map((name) => name.split('@')[0]) ?? [],
      );
      const loaded = [...entries.values()].filter(({ state }) => state === 'loaded');
      return loaded.map((entry): Resident => {
        const merged = [...entry.merged.values()].reduce((total, { bytes }) => total + bytes, 0);
        const kind = merged > 0 ? 'merged' : entry.host === null ? 'disk' : seated.has(entry.id) ? 'slot' : 'host';
        return { id: entry.id, kind, pinned: entry.isPinned, bytes: merged + (entry.host?.bytes ?? 0) };
      });
    },
    take(id, lambda) {
      const entry = requireEntry(id);
      const release = use(entry, lambda);
      return { place: placeNow(entry, lambda) ?? brought(entry, lambda), release };
    },
    dispose: () => {
      for (const { merged } of entries.values()) for (const { model } of merged.values()) model?.dispose();
    },
  };
}
