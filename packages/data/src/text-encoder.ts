import type { AddedToken, Tokenizer } from '@huggingface/tokenizers';

export type EncodeText = (text: string | null) => string[] | null;

/** A stretch of a text: an added token, or what lies between, whose token is null. */
export interface Section {
  text: string;
  token: AddedToken | null;
}

export type CutText = (text: string) => Section[];

/** Letters of the texts whose tokens are kept; they are forgotten together when there are so many. */
const KEPT_LETTERS_MAX = 2 ** 21;

/**
 * The tokens of a text: its added tokens, which `cut` finds before the text is normalized and after, and those of what lies between, each by
 * itself. They are kept a while, because a template that changes earlier turns writes each turn into many rows.
 */
export function createTextEncoder(tokenizer: Tokenizer, cut: Record<'written' | 'normalized', CutText>): EncodeText {
  const { normalizer, pre_tokenizer: preTokenizer, model } = tokenizer;
  const encodeWords = (text: string, section_index: number): string[] => {
    if (text === '') return [];
    const words = preTokenizer === null ? [text] : preTokenizer.pre_tokenize(text, { section_index });
    return model?._call(words) ?? [];
  };
  const encodeSection = (section: string, i: number): string[] => {
    const text = normalizer === null ? section : normalizer.normalize(section);
    return cut
      .normalized(text)
      .flatMap(({ text: part, token }, j) => (token === null ? encodeWords(part, i + j) : [token.content]));
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
      : cut.written(text).flatMap(({ text: section, token }, i) => {
          if (token !== null) return [token.content];
          return section === '' ? [] : encodeKept(section, i);
        });
}

/** The same letters, without the long text that they were cut from. */
const copyOf = (text: string): string => Buffer.from(text, 'utf16le').toString('utf16le');
