import { invariant } from '@moraine/engine';
import type { Place } from './place.js';
import type { Vocabulary } from './vocabulary.js';

/** What one answer may say, token by token. */
export interface Constraint {
  /** 1 for each token that may follow the answer so far, else 0: [V]. */
  mask(ids: readonly number[]): Uint8Array;
  /** Whether the answer is complete: it ends there. */
  isOver(ids: readonly number[]): boolean;
}

/** Holds an answer to a grammar from `begin` on. */
export function createConstraint(vocabulary: Vocabulary, begin: Place): Constraint {
  let place = begin;
  let read = 0;
  const follow = (ids: readonly number[]): Place => {
    for (; read < ids.length; read++)
      for (const byte of vocabulary.bytesOf(ids[read] ?? -1) ?? []) {
        const next = place.step(byte);
        invariant(next !== null, `token ${ids[read]} cannot follow in a constrained answer`);
        place = next;
      }
    return place;
  };
  return { mask: (ids) => vocabulary.maskAt(follow(ids)), isOver: (ids) => follow(ids).isEnd };
}
