import { AppError } from '@moraine/contract';
import { invariant } from '@moraine/engine';
import type { Generator } from '@moraine/lm';
import type { Base } from '../base.js';
import type { BaseModel } from './base-model.js';
import type { Budget, Held } from './budget.js';
import { type ModelParts, modelBytes, type OpenModel, openForAnswers } from './open-model.js';
import { type ReadServed, type RowKind, readServed } from './resident-adapter.js';

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

/** Where an answer begins. */
export interface Place {
  generator: Generator;
  /** What its generator calls the adapter; null: none beside the weights. */
  adapter: string | null;
  /** Keeps the model open until what it returns is called. */
  use(): () => void;
}

/** What is loaded, in memory or on the disk. */
export interface Residents {
  load(options: LoadOptions): Promise<void>;
  unload(id: string): Promise<void>;
  pin(id: string, isPinned: boolean): void;
  list(): Resident[];
  has(id: string): boolean;
  /**
   * Where an adapter answers at a share of its update, now or once it was brought. It stays until `release`.
   * @throws AppError `not_found`.
   */
  take(id: string, lambda: number): { place: Place | Promise<Place>; release(): void };
  dispose(): void;
}

interface Entry {
  readonly id: string;
  readonly dir: string;
  isPinned: boolean;
  users: number;
  /** Null until it was read once; then whether it answers in rows, and as which kind. */
  kind: RowKind | null;
  host: (Held & { read: ReadServed }) | null;
  merged: Map<number, Held & { model: OpenModel | null }>;
  /** What brings it at a share, for all who wait. */
  bringing: Map<number, Promise<Place>>;
  /** Called when nobody uses it any more, after it was unloaded. */
  whenIdle: (() => void) | null;
}

export function createResidents(parts: ModelParts, base: Base, main: BaseModel, budget: Budget): Residents {
  const entries = new Map<string, Entry>();
  const nameOf = ({ id }: Entry, lambda: number): string => `${id}@${lambda}`;
  const isIdle = (entry: Entry): boolean => entry.users === 0 && !entry.isPinned;

  const requireEntry = (id: string): Entry => {
    const entry = entries.get(id);
    if (entry !== undefined) return entry;
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
    if (!adapters.names().includes(name)) adapters.load(name, group, () => hostOf(entry).read.variablesAt(lambda));
    return { generator: model.generator, adapter: name, use: model.use };
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
      isIdle: () => isIdle(entry) && merged.model !== null,
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

  function use(entry: Entry): () => void {
    entry.users += 1;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      entry.users -= 1;
      if (entry.users === 0) entry.whenIdle?.();
    };
  }

  function drop(entry: Entry): void {
    for (const held of [...entry.merged.values(), ...(entry.host === null ? [] : [entry.host])]) {
      budget.release(held);
      held.drop();
    }
    const adapters = main.current()?.model.adapters;
    for (const name of adapters?.names() ?? []) if (name.startsWith(`${entry.id}@`)) adapters?.unload(name);
  }

  return {
    has: (id) => entries.has(id),
    async load({ id, dir, pinned = false }) {
      const known = entries.get(id);
      const entry = known ?? {
        ...{ id, dir, isPinned: pinned, users: 0, kind: null, host: null },
        ...{ merged: new Map(), bringing: new Map(), whenIdle: null },
      };
      if (known !== undefined && pinned) entry.isPinned = true;
      const release = use(entry);
      try {
        if (placeNow(entry, 1) === null) await brought(entry, 1);
        if (!entries.has(id)) entries.set(id, entry);
      } catch (error) {
        if (known === undefined) drop(entry);
        throw error;
      } finally {
        release();
      }
    },
    async unload(id) {
      const entry = requireEntry(id);
      entries.delete(id);
      if (entry.users > 0)
        await new Promise<void>((resolve) => {
          entry.whenIdle = resolve;
        });
      drop(entry);
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
      return [...entries.values()].map((entry): Resident => {
        const merged = [...entry.merged.values()].reduce((total, { bytes }) => total + bytes, 0);
        const kind = merged > 0 ? 'merged' : entry.host === null ? 'disk' : seated.has(entry.id) ? 'slot' : 'host';
        return { id: entry.id, kind, pinned: entry.isPinned, bytes: merged + (entry.host?.bytes ?? 0) };
      });
    },
    take(id, lambda) {
      const entry = requireEntry(id);
      const release = use(entry);
      return { place: placeNow(entry, lambda) ?? brought(entry, lambda), release };
    },
    dispose: () => {
      for (const { merged } of entries.values()) for (const { model } of merged.values()) model?.dispose();
    },
  };
}
