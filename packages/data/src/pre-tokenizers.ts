import { AppError } from '@moraine/contract';
import { literally, patternOf, SPACE, type Span, spansOf, WORD } from './patterns.js';
import { cutPiece, each, mapped, type Piece, type PreTokenize, prefixed } from './piece.js';
import { isObject, type Json } from './row-problem.js';
import { lettersOf } from './token-bytes.js';

/**
 * The pre-tokenizer of a tokenizer.json, as Hugging Face's tokenizers computes it.
 * @throws AppError `invalid_base` for one that is not computed here.
 */
export function createPreTokenizer(json: unknown): PreTokenize {
  if (json === null) return (pieces) => pieces;
  const preTokenizer = isObject(json) ? json : {};
  const { type } = preTokenizer;
  if (typeof type === 'string' && Object.hasOwn(MAKERS, type)) return (MAKERS[type] as Maker)(preTokenizer);
  throw new AppError('invalid_base', `tokenizer.json's pre_tokenizer is of type ${JSON.stringify(type)}.`, {
    param: 'tokenizer.json pre_tokenizer',
    hint: `Take a base whose tokenizer splits by ${Object.keys(MAKERS).join(', ')}.`,
  });
}

type Maker = (json: Json) => PreTokenize;

const chain =
  (parts: readonly PreTokenize[]): PreTokenize =>
  (pieces) =>
    parts.reduce((made, preTokenize) => preTokenize(made), pieces);

/** GPT-2's pattern, which a byte-level pre-tokenizer splits by. */
const BYTE_LEVEL = new RegExp(
  `'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^${SPACE}\\p{L}\\p{N}]+|${SPACE}+(?!\\P{White_Space})|${SPACE}+`,
  'gu',
);
const WHITE = new RegExp(SPACE, 'gu');
const WORDS = new RegExp(`[${WORD}]+|[^${WORD}${SPACE}]+`, 'gu');
const PUNCTUATION = /[\p{P}!-/:-@[-`{-~]/gu;

const MAKERS: Readonly<Record<string, Maker>> = {
  Sequence: ({ pretokenizers }) => chain((Array.isArray(pretokenizers) ? pretokenizers : []).map(createPreTokenizer)),
  ByteLevel: ({ add_prefix_space, use_regex }) =>
    chain([
      ...(add_prefix_space === true ? [each(withSpace)] : []),
      ...(use_regex === false ? [] : [split(BYTE_LEVEL, 'Isolated')]),
      each(inBytes),
    ]),
  Metaspace: metaspace,
  Split: ({ pattern, behavior, invert }) =>
    split(patternOf(pattern, 'pre_tokenizer.pattern'), behavior, invert === true),
  Whitespace: () => split(WORDS, 'Removed', true),
  WhitespaceSplit: () => split(WHITE, 'Removed'),
  BertPreTokenizer: () => chain([split(WHITE, 'Removed'), split(PUNCTUATION, 'Isolated')]),
  Punctuation: ({ behavior = 'Isolated' }) => split(PUNCTUATION, behavior),
  // Every number is a digit: ½, ², Ⅳ.
  Digits: ({ individual_digits: isIndividual }) => split(isIndividual === true ? /\p{N}/gu : /\p{N}+/gu, 'Isolated'),
  CharDelimiterSplit: ({ delimiter }) => split(literally(String(delimiter)), 'Removed'),
  FixedLength: fixedLength,
};

const withSpace = (piece: Piece): Piece => (piece.text.startsWith(' ') ? piece : prefixed(piece, ' '));

const inBytes = mapped(lettersOf);

type Join = (spans: Iterable<Span>) => Iterable<Span>;

/** What becomes of the matches of a pattern and of what lies between them. */
const BEHAVIORS: Readonly<Record<string, Join>> = {
  Isolated: (spans) => spans,
  Removed: function* (spans) {
    for (const span of spans) if (!span.isMatch) yield span;
  },
  Contiguous: (spans) => joinedWhere(spans, (span, before) => span.isMatch === before.isMatch),
  MergedWithPrevious: (spans) => joinedWhere(spans, (span, before) => span.isMatch && !before.isMatch),
  MergedWithNext: (spans) => joinedWhere(spans, (span, before) => !span.isMatch && before.isMatch),
};

/** Spans of which some are one with the one before them. */
function* joinedWhere(spans: Iterable<Span>, isOne: (span: Span, before: Span) => boolean): Generator<Span> {
  let before: Span | null = null;
  let start = 0;
  for (const span of spans) {
    if (before !== null && !isOne(span, before)) {
      yield { ...before, start };
      start = span.start;
    }
    before = span;
  }
  if (before !== null) yield { ...before, start };
}

function* inverted(spans: Iterable<Span>): Generator<Span> {
  for (const span of spans) yield { ...span, isMatch: !span.isMatch };
}

function split(pattern: RegExp, behavior: unknown, isInverted = false): PreTokenize {
  const join = typeof behavior === 'string' && Object.hasOwn(BEHAVIORS, behavior) ? BEHAVIORS[behavior] : undefined;
  if (join === undefined) throw unknownBehavior(behavior);
  return function* (pieces) {
    for (const piece of pieces) {
      const spans = spansOf(piece.text, pattern);
      for (const { start, end } of join(isInverted ? inverted(spans) : spans))
        if (start < end) yield cutPiece(piece, start, end);
    }
  };
}

const unknownBehavior = (behavior: unknown): AppError =>
  new AppError('invalid_base', `tokenizer.json splits with the behavior ${JSON.stringify(behavior)}.`, {
    param: 'tokenizer.json pre_tokenizer.behavior',
    hint: `Take the file as the model came with it: a behavior is one of ${Object.keys(BEHAVIORS).join(', ')}.`,
  });

/** Old files say `add_prefix_space` where newer ones name a scheme. */
function metaspace({ replacement = '▁', prepend_scheme, add_prefix_space, split: splits }: Json): PreTokenize {
  const sign = String(replacement);
  const scheme = prepend_scheme ?? (add_prefix_space === false ? 'never' : 'always');
  const signed = mapped((text) => text.replaceAll(' ', () => sign));
  const begun = (piece: Piece): Piece => {
    const isBegun = scheme === 'always' || (scheme === 'first' && piece.lead > 0);
    const made = signed(piece);
    return isBegun && !made.text.startsWith(sign) ? prefixed(made, sign) : made;
  };
  const cut = split(literally(sign), 'MergedWithNext');
  return (pieces) => (splits === false ? each(begun)(pieces) : cut(each(begun)(pieces)));
}

function fixedLength({ length = 5 }: Json): PreTokenize {
  if (!Number.isInteger(length) || Number(length) < 1) {
    throw new AppError('invalid_base', `tokenizer.json splits into words of ${JSON.stringify(length)} letters.`, {
      param: 'tokenizer.json pre_tokenizer.length',
      hint: 'Take the file as the model came with it.',
    });
  }
  return split(new RegExp(`[\\s\\S]{1,${String(length)}}`, 'gu'), 'Isolated');
}
