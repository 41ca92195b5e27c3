import type { AddedToken, Tokenizer } from '@huggingface/tokenizers';

export type EncodeText = (text: string | null) => string[] | null;

/** What the library keeps to itself of how it cuts a text at added tokens, before it is normalized and after. */
export interface Sections {
  added_tokens_map: ReadonlyMap<string, AddedToken>;
  splitter_unnormalized: Splitter;
  splitter_normalized: Splitter;
}

interface Splitter {
  split(text: string): string[];
}

/** Letters of the texts whose tokens are kept; they are forgotten together when there are so many. */
const KEPT_LETTERS_MAX = 2 ** 21;

/**
 * The tokens of a text: those of what lies between its added tokens, each by itself. They are kept a while, because a template that changes
 * earlier turns writes each turn into many rows.
 */
export function createTextEncoder(tokenizer: Tokenizer, sections: Sections): EncodeText {
  const { added_tokens_map: added, splitter_unnormalized, splitter_normalized } = sections;
  const { normalizer, pre_tokenizer: preTokenizer, model } = tokenizer;
  const encodeWords = (text: string, section_index: number): string[] => {
    if (added.has(text)) return [text];
    const words = preTokenizer === null ? [text] : preTokenizer.pre_tokenize(text, { section_index });
    return model?._call(words) ?? [];
  };
  const encodeSection = (section: string, i: number): string[] => {
    const text = normalizer === null ? section : normalizer.normalize(section);
    return splitter_normalized.split(text).flatMap((part) => (part === '' ? [] : encodeWords(part, i)));
  };
  const kept = [new Map<string, string[]>(), new Map<string, string[]>()] as const;
  let letters = 0;
  const encodeKept = (section: string, i: number): string[] => {
    // Only the first section of a text is another, for tokenizers that put a space before it.
    const of = i === 0 ? kept[0] : kept[1];
    const known = of.get(section);
    if (known !== undefined) return known;
    letters += section.length;
    if (letters > KEPT_LETTERS_MAX) {
      for (const map of kept) map.clear();
      letters = section.length;
    }
    const tokens = encodeSection(section, i);
    of.set(copyOf(section), tokens);
    return tokens;
  };
  return (text) =>
    text === null
      ? null
      : splitter_unnormalized
          .split(text)
          .flatMap((section, i) => (section === '' ? [] : added.has(section) ? [section] : encodeKept(section, i)));
}

/** The same letters, without the long text that they were cut from. */
const copyOf = (text: string): string => Buffer.from(text, 'utf16le').toString('utf16le');
