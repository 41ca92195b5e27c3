import { type AddedToken, Tokenizer } from '@huggingface/tokenizers';
import { createBpe } from './bpe.js';
import { isObject, type Json } from './row-problem.js';
import { type CutText, createTextEncoder, type EncodeText, type Section } from './text-encoder.js';
import { lettersOf } from './token-bytes.js';

/** What the library keeps to itself of its added tokens, and of how it cuts a text at them before it is normalized and after. */
interface Inside {
  added_tokens: readonly AddedToken[];
  added_tokens_map: Map<string, AddedToken>;
  splitter_unnormalized: Splitter;
  splitter_normalized: Splitter;
  encode_text: EncodeText;
}

interface Splitter {
  split(text: string): string[];
}

/** Where nothing is normalized, tokens of the normalized text are still looked for behind the others, which the library does not. */
const AS_IT_IS: Json = { type: 'Sequence', normalizers: [] };

/** A tokenizer of the library, corrected where its added tokens, its merges and its decoding differ from Hugging Face's own. */
export function exactTokenizer(json: Json & { model: Json }, config: object): Tokenizer {
  const { model } = json;
  const isBpe = model.type === 'BPE';
  // The library would read the list of merges for nothing.
  const read = isBpe ? { ...json, model: { ...model, merges: [] } } : json;
  const tokenizer = new Tokenizer({ ...read, normalizer: json.normalizer ?? AS_IT_IS }, config);
  if (isBpe && tokenizer.model) Object.assign(tokenizer.model, { encode: createBpe(model), fuse_unk: false });
  // What the library keeps to itself.
  const inside = tokenizer as unknown as Inside;
  const { written, normalized } = addedTexts(
    inside.added_tokens,
    (text) => tokenizer.normalizer?.normalize(text) ?? text,
  );
  inside.encode_text = createTextEncoder(tokenizer, {
    written: cutAt(inside.splitter_unnormalized, written),
    normalized: cutAt(inside.splitter_normalized, normalized),
  });
  // The library has the normalized texts among them, which are pieces of text, too.
  inside.added_tokens_map.clear();
  for (const token of inside.added_tokens) inside.added_tokens_map.set(token.content, token);
  keepByteOrderMark(tokenizer.decoder);
  writeBytesFast(tokenizer.pre_tokenizer);
  return tokenizer;
}

type Added = ReadonlyMap<string, AddedToken>;

/** The added tokens by what is looked for: in a text as it is written, and in what the normalizer makes of it. */
function addedTexts(
  tokens: readonly AddedToken[],
  normalize: (text: string) => string,
): Record<'written' | 'normalized', Added> {
  const textOf = ({ content, normalized }: AddedToken): string => (normalized ? normalize(content) : content);
  // Of two that the normalizer makes the same, Hugging Face takes any.
  const byText = (isNormalized: boolean): Added =>
    new Map(tokens.filter((token) => token.normalized === isNormalized).map((token) => [textOf(token), token]));
  return { written: byText(false), normalized: byText(true) };
}

const cutAt =
  (splitter: Splitter, added: Added): CutText =>
  (text) =>
    takeSpace(wordsAlone(splitter.split(text).map((part) => ({ text: part, token: added.get(part) ?? null }))));

/** What Rust's `\w` and `\s` are. */
const WORD_END = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_START = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const SPACE = /\p{White_Space}/u;
const SPACE_START = /^\p{White_Space}+/u;

/** Tokens that must stand alone are text where a letter or digit is beside them; the library looks at none. */
function wordsAlone(sections: Section[]): Section[] {
  if (!sections.some(({ token }) => token?.single_word)) return sections;
  const out: Section[] = [];
  sections.forEach(({ text, token }, i) => {
    const before = sections[i - 1]?.text ?? '';
    const after = sections[i + 1]?.text ?? '';
    const isToken = token !== null && !(token.single_word && (WORD_END.test(before) || WORD_START.test(after)));
    const last = out.at(-1);
    if (isToken || last === undefined || last.token !== null) out.push({ text, token: isToken ? token : null });
    else last.text += text;
  });
  return out;
}

/** The white space beside a token that takes it. */
function takeSpace(sections: Section[]): Section[] {
  sections.forEach(({ token }, i) => {
    const [before, after] = [sections[i - 1], sections[i + 1]];
    if (token?.lstrip && before?.token === null) before.text = trimEnd(before.text);
    if (token?.rstrip && after?.token === null) after.text = after.text.replace(SPACE_START, '');
  });
  return sections;
}

/** A pattern that ends in `$` would begin anew at each of a million spaces. */
function trimEnd(text: string): string {
  let end = text.length;
  while (end > 0 && SPACE.test(text[end - 1] ?? '')) end -= 1;
  return text.slice(0, end);
}

/** The library's byte fallback drops a U+FEFF that begins a run of bytes. */
function keepByteOrderMark(decoder: unknown): void {
  if (!isObject(decoder) && typeof decoder !== 'function') return;
  if ('text_decoder' in decoder)
    Object.assign(decoder, { text_decoder: new TextDecoder('utf-8', { ignoreBOM: true }) });
  if ('decoders' in decoder && Array.isArray(decoder.decoders)) decoder.decoders.forEach(keepByteOrderMark);
}

/** The library's byte level makes an array, its bytes and a text of each word, each time. */
function writeBytesFast(preTokenizer: unknown): void {
  if (!isObject(preTokenizer) && typeof preTokenizer !== 'function') return;
  if ('tokenizers' in preTokenizer && Array.isArray(preTokenizer.tokenizers))
    preTokenizer.tokenizers.forEach(writeBytesFast);
  if (!('byte_encoder' in preTokenizer) || !('config' in preTokenizer) || !isObject(preTokenizer.config)) return;
  const { use_regex, add_prefix_space } = preTokenizer.config;
  if (use_regex !== false || add_prefix_space === true) return;
  const preTokenize = (words: string | string[]): string[] =>
    typeof words === 'string' ? [lettersOf(words)] : words.map(lettersOf);
  Object.assign(preTokenizer, { pre_tokenize: preTokenize });
}
