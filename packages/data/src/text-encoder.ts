import { AppError } from '@moraine/contract';
import { type AddedToken, type CutAtTokens, createCut } from './added-tokens.js';
import { copyOf } from './copy-text.js';
import { createNormalizer } from './normalizers.js';
import { cutPiece, type Piece } from './piece.js';
import { createPreTokenizer } from './pre-tokenizers.js';
import { isObject, type Json } from './row-problem.js';

export type EncodeText = (text: string | null) => string[] | null;

/** The tokens of a word by a model. */
export type EncodeWord = (word: string) => readonly string[];

/** Letters of the texts whose tokens are kept; they are forgotten together when there are so many. */
const KEPT_LETTERS_MAX = 2 ** 21;

/**
 * The tokens of a text, as Hugging Face's tokenizers makes them by a tokenizer.json: those of what lies between its added tokens, each by
 * itself. They are kept a while, because a template that changes earlier turns writes each turn into many rows. `encodeWord` is the model.
 * @throws AppError `invalid_base` for a normalizer or pre-tokenizer that is not computed here.
 */
export function createTextEncoder(json: Json, encodeWord: EncodeWord): EncodeText {
  const normalize = createNormalizer(json.normalizer);
  const preTokenize = createPreTokenizer(json.pre_tokenizer);
  const [cutTyped, cutNormalized] = cutsOf(json.added_tokens, (text) => normalize({ text, lead: 0 }).text);
  // No list of all words is made, and all tokens go to one: of a long text each list is many times as long as the text.
  const encodePiece = (typed: Piece, out: string[]): void => {
    const piece = normalize(typed);
    for (const { start, end, token } of cutNormalized(piece.text)) {
      if (token !== null) out.push(token);
      else for (const { text } of preTokenize([cutPiece(piece, start, end)])) append(encodeWord(text), out);
    }
  };
  const kept = [new Map<string, string[]>(), new Map<string, string[]>()] as const;
  let letters = 0;
  const encodeKept = (section: string, isFirst: boolean): string[] => {
    // Only the first section of a text is another, for tokenizers that put a space before it.
    const of = isFirst ? kept[0] : kept[1];
    const known = of.get(section);
    if (known !== undefined) return known;
    letters += section.length;
    if (letters > KEPT_LETTERS_MAX) {
      for (const map of kept) map.clear();
      letters = section.length;
    }
    const tokens: string[] = [];
    encodePiece(pieceOf(section, isFirst), tokens);
    of.set(copyOf(section), tokens);
    return tokens;
  };
  const encodeSection = (section: string, isFirst: boolean, out: string[]): void => {
    if (section.length > KEPT_LETTERS_MAX) encodePiece(pieceOf(section, isFirst), out);
    else append(encodeKept(section, isFirst), out);
  };
  return (text) => {
    if (text === null) return null;
    const out: string[] = [];
    for (const { start, end, token } of cutTyped(text)) {
      if (token !== null) out.push(token);
      else encodeSection(text.slice(start, end), start === 0, out);
    }
    return out;
  };
}

/** Not by spreading: that fills the stack where there are many. */
function append(tokens: readonly string[], out: string[]): void {
  for (const token of tokens) out.push(token);
}

const pieceOf = (section: string, isFirst: boolean): Piece => ({
  text: section,
  lead: isFirst ? firstLength(section) : 0,
});

/** Cuts at the tokens that are looked for in a text as it is typed, and at those that are looked for once it is normalized. */
function cutsOf(list: unknown, normalize: (text: string) => string): readonly [CutAtTokens, CutAtTokens] {
  const typed = new Map<string, AddedToken>();
  const normalized = new Map<string, AddedToken>();
  for (const json of Array.isArray(list) ? list.filter(isObject) : []) {
    const { content, special = false, normalized: isNormalized = special !== true } = json;
    if (typeof content !== 'string') continue;
    const token = {
      content,
      single_word: json.single_word === true,
      lstrip: json.lstrip === true,
      rstrip: json.rstrip === true,
    };
    const text = isNormalized === true ? normalize(content) : content;
    if (text === '') throw emptyToken(content);
    (isNormalized === true ? normalized : typed).set(text, token);
  }
  return [createCut(typed), createCut(normalized)];
}

const emptyToken = (content: string): AppError =>
  new AppError('invalid_base', `Nothing is left of the added token ${JSON.stringify(content)} once it is normalized.`, {
    param: 'tokenizer.json added_tokens',
    hint: 'Set its "normalized" to false, or take the file as the model came with it.',
  });

const firstLength = (text: string): number => ((text.codePointAt(0) ?? 0) > 0xffff ? 2 : 1);
