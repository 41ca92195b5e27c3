import { AppError } from '@moraine/contract';
import { createCharMap } from './char-map.js';
import { patternOf, SPACE, spansOf } from './patterns.js';
import { cutPiece, mapped, type Normalize, prefixed } from './piece.js';
import { isObject, type Json } from './row-problem.js';
import { lettersOf } from './token-bytes.js';

/**
 * The normalizer of a tokenizer.json, as Hugging Face's tokenizers computes it.
 * @throws AppError `invalid_base` for one that is not computed here.
 */
export function createNormalizer(json: unknown): Normalize {
  if (json === null) return (piece) => piece;
  const normalizer = isObject(json) ? json : {};
  const { type, normalizers, prepend } = normalizer;
  if (typeof type === 'string' && Object.hasOwn(MAPS, type)) return mapped(MAPS[type] as Change);
  switch (type) {
    case 'Sequence':
      return chain((Array.isArray(normalizers) ? normalizers : []).map(createNormalizer));
    case 'BertNormalizer':
      return bertNormalizer(normalizer);
    case 'Strip':
      return strip(normalizer.strip_left === true, normalizer.strip_right === true);
    case 'Prepend':
      return (piece) => (piece.text === '' ? piece : prefixed(piece, String(prepend)));
    case 'Replace':
      return replace(patternOf(normalizer.pattern, 'normalizer.pattern'), String(normalizer.content));
    case 'Precompiled':
      return createCharMap(normalizer.precompiled_charsmap);
  }
  throw new AppError('invalid_base', `tokenizer.json's normalizer is of type ${JSON.stringify(type)}.`, {
    param: 'tokenizer.json normalizer',
    hint: `Take a base whose tokenizer normalizes by ${[...Object.keys(MAPS), ...OTHERS].join(', ')}.`,
  });
}

const OTHERS = ['BertNormalizer', 'Strip', 'Prepend', 'Replace', 'Precompiled', 'Sequence'];

type Change = (text: string) => string;

const chain =
  (parts: readonly Normalize[]): Normalize =>
  (piece) =>
    parts.reduce((made, normalize) => normalize(made), piece);

/** As Rust does letter by letter: no σ becomes ς at the end of a word. */
const lowercase: Change = (text) => text.replaceAll('Σ', 'σ').toLowerCase();

/** What SentencePiece's rules for translation take for a space; of control characters they leave few. */
const NMT_SPACE = /[\t\n\f\r\u1680\u200b-\u200f\u2028\u2029\u2581\ufeff\ufffd]/g;
const CONTROL = /(?![\u0080-\u008e\u0090-\u009e])\p{Cc}/gu;
const nmt: Change = (text) =>
  text.replace(NMT_SPACE, ' ').replace(CONTROL, (letter) => (letter === '\0' ? letter : ''));

const MAPS: Readonly<Record<string, Change>> = {
  NFC: (text) => text.normalize('NFC'),
  NFD: (text) => text.normalize('NFD'),
  NFKC: (text) => text.normalize('NFKC'),
  NFKD: (text) => text.normalize('NFKD'),
  Lowercase: lowercase,
  StripAccents: (text) => text.replace(/\p{M}/gu, ''),
  ByteLevel: lettersOf,
  Nmt: nmt,
};

/** What BERT's cleaning drops: control characters that are no white space to it. */
const BERT_DROPPED = /(?![\t\n\r])[\p{Cc}\p{Cf}\p{Co}\ufffd]/gu;
const WHITE = new RegExp(SPACE, 'gu');
/** What BERT takes for Chinese. */
const HAN =
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2b81f}\u{2b920}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;

function bertNormalizer({ clean_text, handle_chinese_chars, strip_accents, lowercase: lowers }: Json): Normalize {
  const steps: Change[] = [];
  if (clean_text === true) steps.push((text) => text.replace(BERT_DROPPED, '').replace(WHITE, ' '));
  if (handle_chinese_chars === true) steps.push((text) => text.replace(HAN, ' $& '));
  if ((strip_accents ?? lowers) === true) steps.push((text) => text.normalize('NFD').replace(/\p{Mn}/gu, ''));
  if (lowers === true) steps.push(lowercase);
  return chain(steps.map(mapped));
}

/** A pattern that ends in `$` would begin anew at each of a million spaces. */
function strip(stripsLeft: boolean, stripsRight: boolean): Normalize {
  const isWhite = new RegExp(SPACE, 'u');
  return (piece) => {
    const { text } = piece;
    let [start, end] = [0, text.length];
    while (stripsLeft && start < end && isWhite.test(text[start] ?? '')) start += 1;
    while (stripsRight && end > start && isWhite.test(text[end - 1] ?? '')) end -= 1;
    return cutPiece(piece, start, end);
  };
}

/**
 * What stands for a match counts as made of the last letter of the match.
 * @throws AppError `invalid_base` where it may stand for nothing: Hugging Face's tokenizers then writes it twice before some pre-tokenizers.
 */
function replace(pattern: RegExp, content: string): Normalize {
  const spans = [' ', 'a'].flatMap((text) => [...spansOf(text, pattern)]);
  if (content !== '' && spans.some(({ start, end }) => start === end)) throw insertion(content);
  return ({ text, lead }) => {
    const made = { text: '', lead: 0 };
    for (const { start, end, isMatch } of spansOf(text, pattern)) {
      const isLead = isMatch && end <= lead;
      const part = isMatch
        ? { text: content, lead: isLead ? content.length : 0 }
        : cutPiece({ text, lead }, start, end);
      made.text += part.text;
      made.lead += part.lead;
    }
    return made;
  };
}

const insertion = (content: string): AppError =>
  new AppError('invalid_base', `tokenizer.json's normalizer puts ${JSON.stringify(content)} where nothing is.`, {
    param: 'tokenizer.json normalizer.pattern',
    hint: 'Use Prepend to begin each text with something, or take another base.',
  });
