import type { Place } from './place.js';

/** Masks that are kept, the last used ones: a byte for each token. */
const MASKS_MAX = 128;
/** Bytes that lead from a place to itself, from which on its tokens are split: the middle of a text has 94. */
const LOOPS_MIN = 64;

/** The tokens that a constrained answer is written with. */
export interface Vocabulary {
  /** The bytes that a token writes; null for one that such an answer never has. */
  bytesOf(id: number): Uint8Array | null;
  /** 1 for each token whose bytes can follow a place, else 0: [V]. It must not be changed. */
  maskAt(place: Place): Uint8Array;
}

interface Token {
  id: number;
  bytes: Uint8Array;
}

/** Tokens in the order of their bytes, and how many bytes each begins with as the one before. */
interface Sorted {
  tokens: readonly Token[];
  shared: readonly number[];
}

/** Tokens that stay at a place whatever the rest of the place is, as most do in the middle of a text, and the others. */
interface Split {
  stay: Uint8Array;
  others: Sorted;
}

/** @param size numbers of the logits. @param bytesOf what each token writes; null: it is never taken. */
export function createVocabulary(size: number, bytesOf: (id: number) => Uint8Array | null): Vocabulary {
  const written = Array.from({ length: size }, (_, id) => ({ id, bytes: bytesOf(id) })).filter(
    (token): token is Token => token.bytes !== null && token.bytes.length > 0,
  );
  const all = withShared(sorted(written));
  const masks = new Map<Place, Uint8Array>();
  const splits = new Map<string, Split>();

  /** By the bytes that lead from a place to itself. */
  function splitAt(place: Place): Split {
    const loops = Array.from({ length: 256 }, (_, byte) => place.step(byte) === place);
    if (loops.filter(Boolean).length < LOOPS_MIN) return { stay: new Uint8Array(size), others: all };
    const key = loops.map(Number).join('');
    const known = splits.get(key);
    if (known !== undefined) return known;
    const stays = ({ bytes }: Token): boolean => bytes.every((byte) => loops[byte]);
    const stay = new Uint8Array(size);
    for (const token of all.tokens) if (stays(token)) stay[token.id] = 1;
    const split = { stay, others: withShared(all.tokens.filter((token) => !stays(token))) };
    splits.set(key, split);
    return split;
  }

  return {
    bytesOf,
    maskAt(place) {
      const mask = masks.get(place) ?? makeMask(place, splitAt(place));
      masks.delete(place);
      masks.set(place, mask);
      if (masks.size > MASKS_MAX) masks.delete(masks.keys().next().value as Place);
      return mask;
    },
  };
}

/** Each token begins where it leaves the one before, and ends where that one ended in vain. */
function makeMask(begin: Place, { stay, others: { tokens, shared } }: Split): Uint8Array {
  const mask = stay.slice();
  const places: Place[] = [begin];
  let read = 0; // bytes of the token before that can follow
  for (let i = 0; i < tokens.length; i++) {
    const { id, bytes } = tokens[i] as Token;
    const common = shared[i] as number;
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

const withShared = (tokens: readonly Token[]): Sorted => ({
  tokens,
  shared: tokens.map(({ bytes }, i) => sharedStart(bytes, tokens[i - 1]?.bytes)),
});

/** By bytes; texts of one letter a byte compare faster than arrays. */
function sorted(tokens: readonly Token[]): Token[] {
  const keyed = tokens.map((token) => ({ token, key: Buffer.from(token.bytes).toString('latin1') }));
  keyed.sort((a, b) => (a.key < b.key ? -1 : Number(a.key > b.key)));
  return keyed.map(({ token }) => token);
}

function sharedStart(a: Uint8Array, b: Uint8Array | undefined): number {
  let n = 0;
  while (b !== undefined && n < a.length && n < b.length && a[n] === b[n]) n += 1;
  return n;
}
