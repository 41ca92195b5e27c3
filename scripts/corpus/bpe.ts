/**
 * A byte-level BPE tokenizer: training over word counts, and a fast encoder for the corpus.
 * Byte-level alphabet and pre-tokenizer pattern: Radford et al. 2019 (GPT-2); merge training: Sennrich et al. 2016,
 * arXiv:1508.07909, Algorithm 1. Digits are split off one by one before the pattern applies.
 */
const WORD_PATTERN = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** Byte value -> its printable stand-in: printable Latin-1 stays itself, the rest moves to U+0100 and up. */
export const BYTE_CHARACTERS: readonly string[] = (() => {
  const isPrintable = (byte: number): boolean =>
    (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  let moved = 0;
  return Array.from({ length: 256 }, (_, byte) => {
    if (isPrintable(byte)) return String.fromCharCode(byte);
    moved += 1;
    return String.fromCharCode(255 + moved);
  });
})();

/** The pieces that merges stay inside of, in the byte alphabet: words with the space before them, digits, punctuation. */
export function splitWords(text: string): string[] {
  const words: string[] = [];
  for (const part of text.split(/(\p{N})/u)) {
    for (const [word] of part.matchAll(WORD_PATTERN)) {
      words.push(Array.from(Buffer.from(word, 'utf8'), (byte) => BYTE_CHARACTERS[byte]).join(''));
    }
  }
  return words;
}

export interface Vocabulary {
  /** Token text -> id: special tokens first, then the 256 bytes, then one token a merge. */
  ids: Map<string, number>;
  merges: [left: string, right: string][];
  specials: readonly string[];
}

const pairKey = (left: string, right: string): string => `${left} ${right}`;

/** The byte alphabet after the special tokens, without a merge. */
export function emptyVocabulary(specials: readonly string[]): Vocabulary {
  const alphabet = [...BYTE_CHARACTERS].sort();
  return { ids: new Map([...specials, ...alphabet].map((token, id) => [token, id])), merges: [], specials };
}

/** Adds a merge and its token. */
export function addMerge(vocabulary: Vocabulary, left: string, right: string): void {
  const token = left + right;
  for (const part of [left, right]) {
    if (!vocabulary.ids.has(part)) throw new Error(`Cannot merge ${left} + ${right}: ${part} is no token.`);
  }
  vocabulary.merges.push([left, right]);
  if (!vocabulary.ids.has(token)) vocabulary.ids.set(token, vocabulary.ids.size);
}

/**
 * Learns up to `count` merges from words and their counts: at each turn the most frequent neighbouring pair becomes a token,
 * until each word is one token. Equal counts are settled by the lower token ids, so the result depends on the counts alone.
 * Merges that the vocabulary already has are applied to the words first.
 */
export function learnMerges(vocabulary: Vocabulary, wordCounts: ReadonlyMap<string, number>, count: number): void {
  const words = [...wordCounts].map(([word, n]) => ({ parts: [...word], n }));
  for (const [left, right] of vocabulary.merges) {
    for (const word of words) word.parts = mergePair(word.parts, left, right);
  }
  for (let turn = 0; turn < count; turn += 1) {
    const pairs = new Map<string, { left: string; right: string; n: number }>();
    for (const { parts, n } of words) {
      for (let i = 0; i + 1 < parts.length; i += 1) {
        const left = parts[i] as string;
        const right = parts[i + 1] as string;
        const key = pairKey(left, right);
        const pair = pairs.get(key);
        if (pair) pair.n += n;
        else pairs.set(key, { left, right, n });
      }
    }
    const idOf = (token: string): number => vocabulary.ids.get(token) ?? -1;
    let best: { left: string; right: string; n: number } | undefined;
    for (const pair of pairs.values()) {
      const order = best
        ? pair.n - best.n || idOf(best.left) - idOf(pair.left) || idOf(best.right) - idOf(pair.right)
        : 1;
      if (order > 0) best = pair;
    }
    if (!best) return;
    addMerge(vocabulary, best.left, best.right);
    for (const word of words) word.parts = mergePair(word.parts, best.left, best.right);
  }
}

function mergePair(parts: string[], left: string, right: string): string[] {
  if (!parts.includes(left)) return parts;
  const merged: string[] = [];
  for (let i = 0; i < parts.length; i += 1) {
    const isPair = parts[i] === left && parts[i + 1] === right;
    merged.push(isPair ? left + right : (parts[i] as string));
    if (isPair) i += 1;
  }
  return merged;
}

/** Text -> ids, special tokens recognised. Words are remembered, so a corpus of few words is encoded fast. */
export function createEncoder(vocabulary: Vocabulary): (text: string) => number[] {
  const ranks = new Map(vocabulary.merges.map(([left, right], rank) => [pairKey(left, right), rank]));
  const known = new Map<string, number[]>();
  const specials = new Set(vocabulary.specials);
  const escaped = vocabulary.specials.map((token) => token.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const specialPattern = new RegExp(`(${escaped.join('|')})`);
  const idOf = (token: string): number => {
    const id = vocabulary.ids.get(token);
    if (id === undefined) throw new Error(`${token} is no token of this vocabulary.`);
    return id;
  };
  const encodeWord = (word: string): number[] => {
    let parts = [...word];
    for (;;) {
      let best: { left: string; right: string; rank: number } | undefined;
      for (let i = 0; i + 1 < parts.length; i += 1) {
        const left = parts[i] as string;
        const right = parts[i + 1] as string;
        const rank = ranks.get(pairKey(left, right));
        if (rank !== undefined && rank < (best?.rank ?? Number.POSITIVE_INFINITY)) best = { left, right, rank };
      }
      if (!best) return parts.map(idOf);
      parts = mergePair(parts, best.left, best.right);
    }
  };
  return (text) => {
    const ids: number[] = [];
    for (const part of text.split(specialPattern)) {
      if (specials.has(part)) {
        ids.push(idOf(part));
        continue;
      }
      for (const word of splitWords(part)) {
        let encoded = known.get(word);
        if (!encoded) {
          encoded = encodeWord(word);
          known.set(word, encoded);
        }
        for (const id of encoded) ids.push(id);
      }
    }
    return ids;
  };
}
