import type { Place } from './place.js';

/** Masks that are kept, the last used ones: a byte for each token. */
const MASKS_MAX = 128;

/** The tokens that a constrained answer is written with. */
export interface Vocabulary {
  /** The bytes that a token writes; null for one that such an answer never has. */
  bytesOf(id: number): Uint8Array | null;
  /** 1 for each token whose bytes can follow a place, else 0: [V]. It must not be changed. */
  maskAt(place: Place): Uint8Array;
}

/** @param size numbers of the logits. @param bytesOf what each token writes; null: it is never taken. */
export function createVocabulary(size: number, bytesOf: (id: number) => Uint8Array | null): Vocabulary {
  const written = Array.from({ length: size }, (_, id) => ({ id, bytes: bytesOf(id) }));
  const tokens = written.filter(
    (token): token is { id: number; bytes: Uint8Array } => token.bytes !== null && token.bytes.length > 0,
  );
  tokens.sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const shared = tokens.map(({ bytes }, i) => sharedStart(bytes, tokens[i - 1]?.bytes));
  const masks = new Map<Place, Uint8Array>();

  /** Tokens in the order of their bytes: each begins where it leaves the one before, and ends where that one ended in vain. */
  function makeMask(begin: Place): Uint8Array {
    const mask = new Uint8Array(size);
    const places: Place[] = [begin];
    let read = 0; // bytes of the token before that can follow
    for (const [i, { id, bytes }] of tokens.entries()) {
      const common = shared[i] ?? 0;
      if (common > read) continue;
      read = common;
      while (read < bytes.length) {
        const next = places[read]?.step(bytes[read] as number) ?? null;
        if (next === null) break;
        read += 1;
        places[read] = next;
      }
      if (read === bytes.length) mask[id] = 1;
    }
    return mask;
  }

  return {
    bytesOf,
    maskAt(place) {
      const mask = masks.get(place) ?? makeMask(place);
      masks.delete(place);
      masks.set(place, mask);
      if (masks.size > MASKS_MAX) masks.delete(masks.keys().next().value as Place);
      return mask;
    },
  };
}

function sharedStart(a: Uint8Array, b: Uint8Array | undefined): number {
  let n = 0;
  while (b !== undefined && n < a.length && n < b.length && a[n] === b[n]) n += 1;
  return n;
}
