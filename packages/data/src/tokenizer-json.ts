import { AppError } from '@moraine/contract';
import { isObject, type Json } from './row-problem.js';

/** Parts that a tokenizer.json may leave out. */
const ABSENT: Json = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null, added_tokens: [] };

/** Models that the library computes; it takes any other for a list of words. */
const MODELS = ['BPE', 'Unigram', 'WordPiece', 'WordLevel'];

/** The tokenizer.json as the library takes it: every dialect's model named, truncation and padding of the last owner gone. */
export function normalizeTokenizer(json: Json): Json & { model: Json } {
  const { model, pre_tokenizer = null, normalizer = null } = json;
  if (!isObject(model)) {
    throw new AppError('invalid_base', 'tokenizer.json has no model.', {
      param: 'tokenizer.json model',
      hint: 'Take the file as the model came with it.',
    });
  }
  return {
    ...ABSENT,
    ...json,
    model: { ...model, type: typeOf(model) },
    normalizer: exactNormalizer(normalizer),
    pre_tokenizer: exactly(pre_tokenizer),
    truncation: null,
    padding: null,
  };
}

/** Old files do not name the type of their model. */
function typeOf(model: Json): string {
  const { type = 'merges' in model ? 'BPE' : Array.isArray(model.vocab) ? 'Unigram' : 'WordPiece' } = model;
  if (typeof type === 'string' && MODELS.includes(type)) return type;
  throw new AppError('invalid_base', `tokenizer.json's model is of type ${JSON.stringify(type)}.`, {
    param: 'tokenizer.json model.type',
    hint: `Take a base whose tokenizer is one of ${MODELS.join(', ')}.`,
  });
}

/**
 * A normalizer in words that the library and Hugging Face's own read alike. The library strips what JavaScript takes for white space, U+FEFF
 * but not U+0085, and prepends to an empty text too.
 */
function exactNormalizer(normalizer: unknown): unknown {
  if (!isObject(normalizer)) return normalizer;
  const { type, normalizers, strip_left: stripsLeft, strip_right: stripsRight, prepend } = normalizer;
  if (Array.isArray(normalizers)) return { ...normalizer, normalizers: normalizers.map(exactNormalizer) };
  if (type === 'Prepend' && typeof prepend === 'string') return replaceBy('\\A(?=[\\s\\S])', prepend);
  if (type !== 'Strip') return normalizer;
  const left = stripsLeft === true ? [replaceBy('\\A\\s+', '')] : [];
  // A run of spaces is looked at from its first only.
  const right = stripsRight === true ? [replaceBy('(?<!\\s)\\s+\\z', '')] : [];
  return { type: 'Sequence', normalizers: [...left, ...right] };
}

const replaceBy = (Regex: string, content: string): Json => ({
  type: 'Replace',
  pattern: { Regex },
  content: content.replaceAll('$', '$$$$'),
});

/** GPT-2's pattern, which a byte-level pre-tokenizer splits by. */
const BYTE_LEVEL_PATTERN = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/**
 * A pre-tokenizer in words that the library and Hugging Face's own read alike. The library's Digits splits decimal digits only, Hugging
 * Face's every number (½, ², Ⅳ); its ByteLevel takes U+FEFF for white space and U+0085 for none; its Metaspace splits at no space, and its
 * Split knows no way to join what it splits at. Its Split by a pattern whose matches are pieces of their own does all of it right.
 */
function exactly(preTokenizer: unknown): unknown {
  if (!isObject(preTokenizer)) return preTokenizer;
  const { type, pretokenizers, individual_digits: isIndividual, add_prefix_space, use_regex } = preTokenizer;
  if (Array.isArray(pretokenizers)) return { ...preTokenizer, pretokenizers: pretokenizers.map(exactly) };
  if (type === 'Digits') return splitAt(isIndividual === true ? '\\p{N}' : '\\p{N}+');
  if (type === 'Metaspace') return exactMetaspace(preTokenizer);
  if (type === 'Split') return exactSplit(preTokenizer);
  if (type !== 'ByteLevel' || use_regex === false || add_prefix_space === true) return preTokenizer;
  return sequence(splitAt(BYTE_LEVEL_PATTERN), { ...preTokenizer, use_regex: false });
}

/** Old files say `add_prefix_space` where newer ones name a scheme; without `split` there is one before each space. */
function exactMetaspace(metaspace: Json): Json {
  const { add_prefix_space, prepend_scheme, split, replacement = '▁' } = metaspace;
  const scheme = prepend_scheme ?? (add_prefix_space === false ? 'never' : 'always');
  const whole = { ...metaspace, prepend_scheme: scheme };
  return split === false ? whole : sequence(whole, splitAt(joinNext(quote(String(replacement)))));
}

/** A split whose matches are pieces, whatever becomes of what lies between them. */
function exactSplit(split: Json): Json {
  const { pattern, behavior, invert } = split;
  const { String: text, Regex: regex } = isObject(pattern) ? pattern : {};
  const source = typeof text === 'string' ? quote(text) : regex;
  if (typeof source !== 'string') return split;
  switch (behavior) {
    case 'Removed':
      return { ...split, pattern: { Regex: source } };
    case 'Isolated':
      return splitAt(source);
    case 'Contiguous':
      return splitAt(`(?:${source})+`);
    default:
      // The other way round, what is joined is what lies before or behind a gap.
      if (invert === true) throw unknownSplit(behavior);
      return splitAt(behavior === 'MergedWithNext' ? joinNext(source) : joinPrevious(source));
  }
}

function unknownSplit(behavior: unknown): AppError {
  return new AppError('invalid_base', `tokenizer.json splits by a pattern with ${String(behavior)} and invert.`, {
    param: 'tokenizer.json pre_tokenizer',
    hint: 'Take a base whose tokenizer splits without invert.',
  });
}

/** A match of a pattern with all that follows up to the next. */
const joinNext = (source: string): string => `(?:${source})(?:(?!(?:${source}))[\\s\\S])*`;

/** All up to a match of a pattern, with it, or the rest: a search that finds no match would begin again at each letter. */
const joinPrevious = (source: string): string => `[\\s\\S]*?(?:${source}|(?![\\s\\S]))`;

const quote = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&');

const sequence = (...pretokenizers: Json[]): Json => ({ type: 'Sequence', pretokenizers });

const splitAt = (Regex: string): Json => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false });

/** The largest id of a token that any text can make: of the model's own vocabulary, without the tokens that were added to it. */
export function largestId({ model }: Json): number {
  if (!isObject(model)) return -1;
  const { vocab } = model;
  if (Array.isArray(vocab)) return vocab.length - 1;
  const ids = isObject(vocab) ? Object.values(vocab) : [];
  return ids.reduce<number>((max, id) => (typeof id === 'number' ? Math.max(max, id) : max), -1);
}
