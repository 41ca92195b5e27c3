import { AppError } from '@moraine/contract';
import { copyOf } from './copy-text.js';
import { isObject, type Json } from './row-problem.js';
import type { EncodeWord } from './text-encoder.js';
import { byteTexts } from './token-bytes.js';

/** Words that are kept with their tokens; they are forgotten together when there are so many. */
const KEPT_MAX = 10_000;
const KEPT_LENGTH_MAX = 64;

/**
 * Byte pair encoding as Hugging Face's tokenizers computes it: the letters of a word become tokens, and the pair whose merge stands first in
 * the list is merged until none is left, at the same place the left one first. In n log n for a word of n letters: where nothing splits a
 * text, all of it is one word.
 * `model` is that of a tokenizer.json. The result returns the tokens of a word.
 * @throws AppError `invalid_base` for a merge of tokens that the vocabulary does not have.
 */
export function createBpe(model: Json): EncodeWord {
  const ids = new Map(Object.entries(isObject(model.vocab) ? (model.vocab as Record<string, number>) : {}));
  const texts: string[] = [];
  for (const [text, id] of ids) texts[id] = text;
  const lettersOf = createLetters(model, ids);
  const merges = readMerges(model, ids);
  const keepsWhole = model.ignore_merges === true;
  const kept = new Map<string, readonly string[]>();

  return (word) => {
    if (keepsWhole && ids.has(word)) return [word];
    const known = kept.get(word);
    if (known !== undefined) return known;
    const tokens = merge(lettersOf(word), merges).map((id) => texts[id] ?? '');
    if (word.length > KEPT_LENGTH_MAX) return tokens;
    if (kept.size >= KEPT_MAX) kept.clear();
    kept.set(copyOf(word), tokens);
    return tokens;
  };
}

/** The tokens of the letters of a word: each in the vocabulary, else its bytes, else the unknown token. */
function createLetters(model: Json, ids: ReadonlyMap<string, number>): (word: string) => number[] {
  const { byte_fallback: fallsBack, fuse_unk: fuses } = model;
  const prefix = textOf(model.continuing_subword_prefix);
  const suffix = textOf(model.end_of_word_suffix);
  const named = model.unk_token;
  const unk = typeof named === 'string' ? ids.get(named) : undefined;
  return (word) => {
    const tokens: number[] = [];
    // An unknown token is written when the next known letter comes, behind the bytes of letters in between.
    let isUnknown = false;
    let at = 0;
    for (const letter of word) {
      const text = `${at > 0 ? prefix : ''}${letter}${at + letter.length === word.length ? suffix : ''}`;
      at += letter.length;
      const id = ids.get(text);
      if (id !== undefined) {
        if (isUnknown && unk !== undefined) tokens.push(unk);
        isUnknown = false;
        tokens.push(id);
        continue;
      }
      const bytes = fallsBack === true ? bytesOf(text, ids) : null;
      if (bytes !== null) tokens.push(...bytes);
      else if (typeof named === 'string') {
        if (unk === undefined) refuseUnknown(named);
        if (isUnknown && fuses !== true) tokens.push(unk);
        isUnknown = true;
      }
    }
    if (isUnknown && unk !== undefined) tokens.push(unk);
    return tokens;
  };
}

function refuseUnknown(unk: string): never {
  throw new AppError('invalid_base', `The unknown token of tokenizer.json, ${unk}, is not in its vocabulary.`, {
    param: 'tokenizer.json model.unk_token',
    hint: 'Take the file as the model came with it.',
  });
}

const textOf = (value: unknown): string => (typeof value === 'string' ? value : '');

function bytesOf(text: string, ids: ReadonlyMap<string, number>): number[] | null {
  const bytes = byteTexts(text).map((byte) => ids.get(byte));
  return bytes.every((id) => id !== undefined) ? bytes : null;
}

/** For each pair of tokens, as one number, its place in the list of merges and the token that it makes. */
interface Merges {
  /** Ids are below this. */
  span: number;
  places: ReadonlyMap<number, number>;
  made: readonly number[];
}

function readMerges(model: Json, ids: ReadonlyMap<string, number>): Merges {
  const prefixLength = textOf(model.continuing_subword_prefix).length;
  const list: unknown[] = Array.isArray(model.merges) ? model.merges : [];
  const span = [...ids.values()].reduce((max, id) => Math.max(max, id), 0) + 1;
  const places = new Map<number, number>();
  const made: number[] = [];
  for (const [place, pair] of list.entries()) {
    const [left, right] = partsOf(pair, place);
    const idOf = (text: string): number => ids.get(text) ?? refuseMerge(place, text);
    places.set(idOf(left) * span + idOf(right), place);
    made.push(idOf(left + right.slice(prefixLength)));
  }
  return { span, places, made };
}

function partsOf(pair: unknown, place: number): readonly [string, string] {
  const parts: unknown[] = Array.isArray(pair) ? pair : typeof pair === 'string' ? pair.split(' ') : [];
  const [left, right] = parts;
  if (parts.length === 2 && typeof left === 'string' && typeof right === 'string') return [left, right];
  return refuseMerge(place, JSON.stringify(pair));
}

function refuseMerge(place: number, text: string): never {
  throw new AppError(
    'invalid_base',
    `Merge ${place + 1} of tokenizer.json asks for ${text}, which is not in its vocabulary.`,
    {
      param: `tokenizer.json model.merges[${place}]`,
      hint: 'Take the file as the model came with it.',
    },
  );
}

/** Merges the pairs of a word, the first in the list first. `tokens` is used up. */
function merge(tokens: number[], { span, places, made }: Merges): number[] {
  const count = tokens.length;
  const next = Int32Array.from(tokens, (_, i) => (i + 1 < count ? i + 1 : -1));
  const before = Int32Array.from(tokens, (_, i) => i - 1);
  const queue = createQueue();
  const offer = (i: number): void => {
    const right = i < 0 ? -1 : (next[i] as number);
    if (right < 0) return;
    const place = places.get((tokens[i] as number) * span + (tokens[right] as number));
    if (place !== undefined) queue.push(place * count + i);
  };
  for (let i = 0; i < count; i += 1) offer(i);
  for (let best = queue.pop(); best !== undefined; best = queue.pop()) {
    const i = best % count;
    const right = next[i] as number;
    // A token that was merged into another is -1; one that grew meanwhile has other pairs.
    if (tokens[i] === -1 || right < 0) continue;
    if (places.get((tokens[i] as number) * span + (tokens[right] as number)) !== Math.floor(best / count)) continue;
    tokens[i] = made[Math.floor(best / count)] as number;
    tokens[right] = -1;
    const after = next[right] as number;
    next[i] = after;
    if (after >= 0) before[after] = i;
    offer(before[i] as number);
    offer(i);
  }
  return tokens.filter((id) => id !== -1);
}

/** The least of some numbers, again and again: a binary heap. */
function createQueue(): { push(value: number): void; pop(): number | undefined } {
  const heap: number[] = [];
  return {
    push(value) {
      let at = heap.push(value) - 1;
      while (at > 0) {
        const parent = (at - 1) >> 1;
        if ((heap[parent] as number) <= value) break;
        heap[at] = heap[parent] as number;
        at = parent;
      }
      heap[at] = value;
    },
    pop() {
      const least = heap[0];
      const value = heap.pop();
      if (value === undefined || heap.length === 0) return least;
      let at = 0;
      for (let child = 1; child < heap.length; child = 2 * at + 1) {
        if (child + 1 < heap.length && (heap[child + 1] as number) < (heap[child] as number)) child += 1;
        if ((heap[child] as number) >= value) break;
        heap[at] = heap[child] as number;
        at = child;
      }
      heap[at] = value;
      return least;
    },
  };
}
