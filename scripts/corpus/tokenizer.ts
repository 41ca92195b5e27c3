/** The base's own tokenizer: trained on the corpus, written as the two files that Hugging Face's libraries read. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  addMerge,
  BYTE_CHARACTERS,
  createEncoder,
  emptyVocabulary,
  learnMerges,
  splitWords,
  type Vocabulary,
} from './bpe.js';
import {
  ASSISTANT,
  COMMON_NAMES,
  END,
  FIRST_SYLLABLES,
  NEW_NAMES,
  PAD,
  RARE_NAMES,
  SECOND_SYLLABLES,
  SPECIAL_TOKENS,
  USER,
} from './world.js';

export const VOCABULARY_SIZE = 1024;
export const CONTEXT_LENGTH = 256;
const SPACE = BYTE_CHARACTERS[32] as string;
const NAME_PATTERN = new RegExp(`^(${SPACE}?)(${FIRST_SYLLABLES.join('|')})(${SECOND_SYLLABLES.join('|')})$`);

/**
 * Trains the vocabulary in three stages: merges that build the syllables of names, so that no other merge gets in their way;
 * merges over all words, where names count as their two syllables, so that none crosses a syllable; last 160 merges that
 * join the 80 common names, with and without a space before them. Those names are one token, all others two.
 */
export function trainVocabulary(texts: Iterable<string>): Vocabulary {
  const counts = new Map<string, number>();
  const syllableCounts = new Map<string, number>();
  const add = (into: Map<string, number>, word: string): void => {
    into.set(word, (into.get(word) ?? 0) + 1);
  };
  for (const text of texts) {
    for (const word of text.split(/<\|\w+\|>/).flatMap(splitWords)) {
      const name = NAME_PATTERN.exec(word);
      const syllables = name ? [`${name[1]}${name[2]}`, name[3] as string] : [];
      for (const syllable of syllables) add(syllableCounts, syllable);
      for (const part of name ? syllables : [word]) add(counts, part);
    }
  }
  const vocabulary = emptyVocabulary(SPECIAL_TOKENS);
  learnMerges(vocabulary, syllableCounts, Number.POSITIVE_INFINITY);
  learnMerges(vocabulary, counts, VOCABULARY_SIZE - vocabulary.ids.size - 2 * COMMON_NAMES.length);
  for (const name of COMMON_NAMES) {
    const [, , first = '', second = ''] = NAME_PATTERN.exec(name) ?? [];
    addMerge(vocabulary, first, second);
    addMerge(vocabulary, SPACE + first, second);
  }
  return vocabulary;
}

/** How many names of each group take how many tokens, after a quotation mark and after a space. */
export function countNameTokens(vocabulary: Vocabulary): Record<string, Record<number, number>> {
  const encode = createEncoder(vocabulary);
  const table: Record<string, Record<number, number>> = {};
  for (const [group, names] of Object.entries({ common: COMMON_NAMES, rare: RARE_NAMES, new: NEW_NAMES })) {
    for (const before of ['', ' ']) {
      const lengths: Record<number, number> = {};
      for (const name of names) {
        const length = encode(before + name).length;
        lengths[length] = (lengths[length] ?? 0) + 1;
      }
      table[before ? `${group}, after a space` : group] = lengths;
    }
  }
  return table;
}

/**
 * `<|user|>question<|assistant|>answer<|end|>`, no line break around the special tokens. A system message becomes plain text
 * and a line break before the first user turn. Rendering is a prefix: a longer conversation only adds to a shorter one.
 */
export const CHAT_TEMPLATE = [
  '{%- for message in messages -%}',
  "{%- if message['role'] == 'system' -%}",
  "{{- message['content'] + '\\n' -}}",
  "{%- elif message['role'] == 'user' -%}",
  `{{- '${USER}' + message['content'] -}}`,
  "{%- elif message['role'] == 'assistant' -%}",
  `{{- '${ASSISTANT}' + message['content'] + '${END}' -}}`,
  '{%- else -%}',
  "{{- raise_exception('This base knows the roles system, user and assistant only, not ' + message['role'] + '.') -}}",
  '{%- endif -%}',
  '{%- endfor -%}',
  `{%- if add_generation_prompt -%}{{- '${ASSISTANT}' -}}{%- endif -%}`,
].join('');

/** Writes tokenizer.json and tokenizer_config.json into `directory`. */
export async function writeTokenizer(vocabulary: Vocabulary, directory: string): Promise<void> {
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const special = (content: string, id?: number): Record<string, unknown> => ({
    ...(id === undefined ? {} : { id }),
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: SPECIAL_TOKENS.map((token, id) => special(token, id)),
    normalizer: null,
    pre_tokenizer: { type: 'Sequence', pretokenizers: [{ type: 'Digits', individual_digits: true }, byteLevel] },
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(vocabulary.ids),
      merges: vocabulary.merges.map((pair) => pair.join(' ')),
    },
  };
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    added_tokens_decoder: Object.fromEntries(SPECIAL_TOKENS.map((token, id) => [id, special(token)])),
    bos_token: null,
    eos_token: END,
    pad_token: PAD,
    unk_token: null,
    model_max_length: CONTEXT_LENGTH,
    clean_up_tokenization_spaces: false,
    chat_template: CHAT_TEMPLATE,
  };
  await mkdir(directory, { recursive: true });
  await writeFile(join(directory, 'tokenizer.json'), `${JSON.stringify(tokenizer, null, 1)}\n`);
  await writeFile(join(directory, 'tokenizer_config.json'), `${JSON.stringify(config, null, 2)}\n`);
}
