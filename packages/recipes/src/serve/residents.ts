import { AppError } from '@moraine/contract';
import type { Base } from '../base.js';
import type { BaseModel } from './base-model.js';
import type { Budget } from './budget.js';
import type { ModelParts } from './open-model.js';
import { countUser, type Entry, isInMemory, isLeaving, newEntry, type Place } from './resident-entry.js';
import { createPlaces } from './resident-places.js';

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

export function createResidents(parts: ModelParts, base: Base, main: BaseModel, budget: Budget): Residents {
  const entries = new Map<string, Entry>();
  const wantedKinds = (): Set<string> => new Set([...entries.values()].flatMap(({ kind }) => kind?.key ?? []));
  const places = createPlaces(parts, base, main, budget, wantedKinds);

  const findEntry = (id: string): Entry | null => {
    const entry = entries.get(id);
    return entry?.state === 'loaded' ? entry : null;
  };
  const requireEntry = (id: string): Entry => {
    const entry = findEntry(id);
    if (entry !== null) return entry;
    throw new AppError('not_found', `No adapter ${id} is loaded.`, { param: 'id', hint: 'Load it first.' });
  };

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
    places.drop(entry);
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
        if (places.now(entry, 1) === null) await places.bring(entry, 1);
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
      return { place: places.now(entry, lambda) ?? places.bring(entry, lambda), release };
    },
    dispose: () => {
      places.close();
      for (const { merged } of entries.values()) for (const { model } of merged.values()) model?.dispose();
    },
  };
}
