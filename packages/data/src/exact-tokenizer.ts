import { type AddedToken, Tokenizer } from '@huggingface/tokenizers';
import { createBpe } from './bpe.js';
import { isObject, type Json } from './row-problem.js';
import { createTextEncoder, type EncodeText, type Sections } from './text-encoder.js';
import { lettersOf } from './token-bytes.js';

interface Inside extends Sections {
  encode_text: EncodeText;
}

/** A tokenizer of the library, corrected where its added tokens, its merges and its decoding differ from Hugging Face's own. */
export function exactTokenizer(json: Json & { model: Json }, config: object): Tokenizer {
  const { model } = json;
  const isBpe = model.type === 'BPE';
  // The library would read the list of merges for nothing.
  const tokenizer = new Tokenizer(isBpe ? { ...json, model: { ...model, merges: [] } } : json, config);
  if (isBpe && tokenizer.model) Object.assign(tokenizer.model, { encode: createBpe(model), fuse_unk: false });
  // What the library keeps to itself.
  const inside = tokenizer as unknown as Inside;
  const { added_tokens_map: added, ...splitters } = inside;
  const taking = new Map([...added].map(([text, { lstrip, rstrip }]) => [text, { lstrip, rstrip }]));
  for (const splitter of [splitters.splitter_unnormalized, splitters.splitter_normalized]) {
    const split = splitter.split.bind(splitter);
    splitter.split = (text: string): string[] => takeSpace(wordsAlone(split(text), added), taking);
  }
  // The library would take the white space of JavaScript.
  for (const token of added.values()) Object.assign(token, { lstrip: false, rstrip: false });
  keepByteOrderMark(tokenizer.decoder);
  writeBytesFast(tokenizer.pre_tokenizer);
  inside.encode_text = createTextEncoder(tokenizer, inside);
  return tokenizer;
}

/** What Rust's `\w` and `\s` are. */
const WORD_END = /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]$/u;
const WORD_START = /^[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]/u;
const SPACE = /\p{White_Space}/u;
const SPACE_START = /^\p{White_Space}+/u;

/** Tokens that must stand alone are text where a letter or digit is beside them; the library looks at none. */
function wordsAlone(sections: string[], added: ReadonlyMap<string, AddedToken>): string[] {
  if (!sections.some((section) => added.get(section)?.single_word)) return sections;
  const out: string[] = [];
  let isText = false;
  sections.forEach((section, i) => {
    const token = added.get(section);
    const before = sections[i - 1] ?? '';
    const after = sections[i + 1] ?? '';
    const isToken = token !== undefined && !(token.single_word && (WORD_END.test(before) || WORD_START.test(after)));
    if (isText && !isToken) out.push(`${out.pop() ?? ''}${section}`);
    else out.push(section);
    isText = !isToken;
  });
  return out;
}

/** The white space beside a token that takes it. */
function takeSpace(sections: string[], taking: ReadonlyMap<string, { lstrip: boolean; rstrip: boolean }>): string[] {
  sections.forEach((section, i) => {
    const token = taking.get(section);
    const [before, after] = [sections[i - 1], sections[i + 1]];
    if (token?.lstrip && before !== undefined && !taking.has(before)) sections[i - 1] = trimEnd(before);
    if (token?.rstrip && after !== undefined && !taking.has(after)) sections[i + 1] = after.replace(SPACE_START, '');
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
