import { isObject, type Json } from './row-problem.js';
import type { EncodeWord } from './text-encoder.js';

const idsOf = ({ vocab }: Json): ReadonlySet<string> => new Set(Object.keys(isObject(vocab) ? vocab : {}));

/** A model whose every word is a token, or unknown. `model` is that of a tokenizer.json. */
export function createWordLevel(model: Json): EncodeWord {
  const known = idsOf(model);
  const { unk_token: unk = '<unk>' } = model;
  return (word) => [known.has(word) ? word : String(unk)];
}

/** BERT's model: of a word the longest token that it begins with, and so on with the rest. `model` is that of a tokenizer.json. */
export function createWordPiece(model: Json): EncodeWord {
  const known = idsOf(model);
  const {
    unk_token: unk = '[UNK]',
    continuing_subword_prefix: prefix = '##',
    max_input_chars_per_word: most = 100,
  } = model;
  return (word) => {
    const letters = Array.from(word);
    if (letters.length > Number(most)) return [String(unk)];
    const tokens: string[] = [];
    for (let start = 0; start < letters.length; ) {
      let end = letters.length;
      const textTo = (): string => `${start > 0 ? prefix : ''}${letters.slice(start, end).join('')}`;
      while (end > start && !known.has(textTo())) end -= 1;
      if (end === start) return [String(unk)];
      tokens.push(textTo());
      start = end;
    }
    return tokens;
  };
}
