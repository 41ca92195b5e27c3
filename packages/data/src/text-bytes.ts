import type { TextTokenizer } from './tokenizer.js';

/** Whether a token says something of a text: unknown letters are text too, tokens that begin or end one are not. */
export const isTextToken = (id: number, { specialIds, eosIds, bytes }: TextTokenizer): boolean =>
  !specialIds.has(id) || (bytes(id) === null && !eosIds.includes(id));

/**
 * How many bytes of UTF-8 each token of a row stands for in the texts that the row was made of, one after the other. A space that the tokenizer put in front is none of
 * a text's; unknown tokens have the bytes of the letters that they replace; tokens that say nothing have none.
 */
export function bytesOfTokens(ids: readonly number[], texts: readonly string[], tokenizer: TextTokenizer): number[] {
  const counts = ids.map((id) => (isTextToken(id, tokenizer) ? (tokenizer.bytes(id)?.length ?? 1) : 0));
  let at = 0;
  for (const text of texts) {
    const own = tokenizer.encode(text);
    const from = placeOf(own, ids, at);
    // Where the tokens do not spell the text, it was normalised: what they spell is counted.
    const ends = from < 0 ? null : tokenizer.byteEnds(text, own);
    if (ends === null) continue;
    for (const [i, id] of own.entries())
      if (isTextToken(id, tokenizer)) counts[from + i] = (ends[i] ?? 0) - (ends[i - 1] ?? 0);
    at = from + own.length;
  }
  return counts;
}

/** Where some tokens stand among others, from a place on; -1 where they do not. */
function placeOf(some: readonly number[], all: readonly number[], from: number): number {
  for (let at = from; at + some.length <= all.length; at += 1) if (some.every((id, i) => all[at + i] === id)) return at;
  return -1;
}
