import { AppError } from '@moraine/contract';
import type { Json } from './row-problem.js';
import type { EncodeWord } from './text-encoder.js';
import { byteTexts } from './token-bytes.js';

/** A letter that no piece begins with costs so much more than the dearest piece. */
const UNKNOWN_PENALTY = 10;

/**
 * The unigram model as Hugging Face's tokenizers computes it: of all ways to write a word in pieces the one whose scores add up to most.
 * Unknown letters that stand together are one: a piece if there is such a one, else its bytes where the vocabulary has them all and the model
 * says `byte_fallback`, else the unknown token.
 * `model` is that of a tokenizer.json. The result returns the tokens of a word.
 * @throws AppError `invalid_base` for a vocabulary that is no list of pieces with scores, or an unknown token outside of it.
 */
export function createUnigram(model: Json): EncodeWord {
  const pieces = piecesOf(model);
  const ids = new Map(pieces.map(([text], id) => [text, id]));
  const unkId = typeof model.unk_id === 'number' ? model.unk_id : null;
  const unk = unkId === null ? null : (pieces[unkId]?.[0] ?? refuseVocabulary('unk_id'));
  const best = createSearch(pieces, unkId);
  const fallsBack = model.byte_fallback === true;
  return (word) =>
    best(word).flatMap((text) => {
      if (ids.has(text)) return [text];
      const bytes = fallsBack ? byteTexts(text) : [];
      const areKnown = fallsBack && bytes.every((byte) => ids.has(byte));
      return areKnown ? bytes : [unk ?? refuseUnknown(text)];
    });
}

type ScoredPiece = readonly [text: string, score: number];

function piecesOf({ vocab }: Json): ScoredPiece[] {
  const list: unknown[] = Array.isArray(vocab) ? vocab : [];
  const isPiece = (one: unknown): one is ScoredPiece =>
    Array.isArray(one) && one.length === 2 && typeof one[0] === 'string' && typeof one[1] === 'number';
  if (list.length > 0 && list.every(isPiece)) return list;
  return refuseVocabulary('vocab');
}

function refuseVocabulary(key: string): never {
  throw new AppError('invalid_base', `The Unigram model of tokenizer.json has a ${key} that fits no list of pieces.`, {
    param: `tokenizer.json model.${key}`,
    hint: 'Take the file as the model came with it.',
  });
}

function refuseUnknown(text: string): never {
  throw new AppError('invalid_base', `tokenizer.json has no token for ${JSON.stringify(text)}.`, {
    param: 'tokenizer.json model.unk_id',
    hint: 'Name an unknown token that is in the vocabulary.',
  });
}

/** The best way to write a word, unknown letters that stand together as one text. */
function createSearch(pieces: readonly ScoredPiece[], unkId: number | null): (word: string) => string[] {
  const begun = beginningsOf(pieces);
  const scoreMin = pieces.reduce((min, [, score]) => Math.min(min, score), Number.POSITIVE_INFINITY);
  return (word) => {
    const scores = new Float64Array(word.length + 1);
    const starts = new Int32Array(word.length + 1).fill(-1);
    const ids = new Int32Array(word.length + 1);
    const offer = (start: number, end: number, id: number, cost: number): void => {
      const score = cost + (scores[start] as number);
      if (starts[end] !== -1 && score <= (scores[end] as number)) return;
      scores[end] = score;
      starts[end] = start;
      ids[end] = id;
    };
    for (let start = 0; start < word.length; ) {
      const next = start + ((word.codePointAt(start) ?? 0) > 0xffff ? 2 : 1);
      let isKnown = false;
      for (let end = start + 1; end <= word.length; end += 1) {
        const id = begun.get(word.slice(start, end));
        if (id === undefined) break;
        if (id === BEGINNING) continue;
        offer(start, end, id, pieces[id]?.[1] ?? 0);
        isKnown ||= end === next;
      }
      if (!isKnown) offer(start, next, unkId ?? refuseUnknown(word.slice(start, next)), scoreMin - UNKNOWN_PENALTY);
      start = next;
    }
    return walkBack(word, starts, (end) => ids[end] === unkId);
  };
}

/** What some piece begins with, and is none itself. */
const BEGINNING = -1;

/** Every piece with its id, and every text that one begins with. */
function beginningsOf(pieces: readonly ScoredPiece[]): ReadonlyMap<string, number> {
  const begun = new Map<string, number>();
  for (const [text] of pieces)
    for (let end = 1; end < text.length; end += 1)
      if (!begun.has(text.slice(0, end))) begun.set(text.slice(0, end), BEGINNING);
  for (const [id, [text]] of pieces.entries()) begun.set(text, id);
  return begun;
}

function walkBack(word: string, starts: Int32Array, isUnknownAt: (end: number) => boolean): string[] {
  const texts: string[] = [];
  for (let end = word.length; end > 0; ) {
    const last = end;
    do end = starts[end] as number;
    while (isUnknownAt(last) && end > 0 && isUnknownAt(end));
    texts.push(word.slice(end, last));
  }
  return texts.reverse();
}
