import type { Generator } from '@moraine/lm';
import type { Held } from './budget.js';
import type { OpenModel } from './open-model.js';
import type { InRowsOfBase, RowKind } from './resident-adapter.js';

/** Where an answer begins. */
export interface Place {
  generator: Generator;
  /** What its generator calls the adapter; null: none beside the weights. */
  adapter: string | null;
  /** Keeps the model open until what it returns is called. */
  use(): () => void;
}

/** An adapter of a server, by the hash of its files. */
export interface Entry {
  readonly id: string;
  dir: string;
  /** Only what is loaded is found. What is being loaded or leaves is still in its place, so that its id has one entry. */
  state: 'loading' | 'loaded' | 'leaving';
  isPinned: boolean;
  users: number;
  /** Of them, by the share that they answer at. */
  usersAt: Map<number, number>;
  /** Null until it was read once; then whether it answers in rows, and as which kind. */
  kind: RowKind | null;
  host: (Held & { read: InRowsOfBase }) | null;
  merged: Map<number, Held & { model: OpenModel | null }>;
  /** What brings it at a share, for all who wait. */
  bringing: Map<number, Promise<Place>>;
  /** Called when it has left, or comes back. */
  whenGone: (() => void)[];
}

export const newEntry = (id: string, dir: string): Entry => ({
  ...{ id, dir, state: 'loading', isPinned: false, users: 0, kind: null, host: null },
  ...{ usersAt: new Map(), merged: new Map(), bringing: new Map(), whenGone: [] },
});

export const isInMemory = ({ host, merged }: Entry): boolean => host !== null || merged.size > 0;
export const isIdle = ({ users, isPinned }: Entry): boolean => users === 0 && !isPinned;
export const isLeaving = ({ state }: Entry): boolean => state === 'leaving';

/** Counts who answers with it at a share, until what it returns is called; `whenFree` is called when that was the last of all. */
export function countUser(entry: Entry, lambda: number, whenFree: () => void): () => void {
  const { usersAt } = entry;
  entry.users += 1;
  usersAt.set(lambda, (usersAt.get(lambda) ?? 0) + 1);
  let isOver = false;
  return () => {
    if (isOver) return;
    isOver = true;
    entry.users -= 1;
    const left = (usersAt.get(lambda) ?? 0) - 1;
    if (left > 0) usersAt.set(lambda, left);
    else usersAt.delete(lambda);
    if (entry.users === 0) whenFree();
  };
}
