import * as library from '@huggingface/tokenizers';
import { AppError } from '@moraine/contract';
import { isObject } from './row-problem.js';

/** Rust's and Oniguruma's white space. JavaScript's own, `\s`, has U+FEFF and lacks U+0085. */
export const SPACE = '\\p{White_Space}';

/** What Rust's `\w` is. */
export const WORD = '\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}';

/** What the library's own types leave out: it reads Oniguruma's dialect. */
const { ReplaceNormalizer } = library as unknown as {
  ReplaceNormalizer: new (config: { pattern: { Regex: string } }) => { pattern: RegExp };
};

/** From where to where a part of a text reaches, and whether a pattern matches it. */
export interface Span {
  start: number;
  end: number;
  isMatch: boolean;
}

/**
 * The pattern of a part of tokenizer.json, `{"String": …}` or `{"Regex": …}`, in JavaScript's dialect.
 * @throws AppError `invalid_base` where it is neither; whatever the dialect lacks throws a SyntaxError.
 */
export function patternOf(pattern: unknown, where: string): RegExp {
  const { String: text, Regex } = isObject(pattern) ? pattern : {};
  if (typeof text === 'string') return literally(text);
  if (typeof Regex === 'string') return withLineStarts(new ReplaceNormalizer({ pattern: { Regex } }).pattern);
  throw new AppError('invalid_base', `tokenizer.json has the pattern ${JSON.stringify(pattern)}.`, {
    param: `tokenizer.json ${where}`,
    hint: 'Take the file as the model came with it: a pattern is {"String": …} or {"Regex": …}.',
  });
}

/** What the library makes of `^`. In Oniguruma no line begins at the end of a text. */
const LINE_START = '(?:(?<![\\s\\S])|(?<=\\n))';

const withLineStarts = ({ source, flags }: RegExp): RegExp =>
  new RegExp(source.replaceAll(LINE_START, LINE_START.replace('\\n)', '\\n)(?=[\\s\\S])')), flags);

/** A pattern that matches a text and nothing else. */
export const literally = (text: string): RegExp => new RegExp(text.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&'), 'gu');

/**
 * The matches of a pattern and what lies between them, in order, each as it is asked for. An empty match right behind another is none, as in Rust; nor is one inside a
 * letter of two units, where V8 finds some that begin by looking behind.
 */
export function* spansOf(text: string, pattern: RegExp): Generator<Span> {
  let at = 0;
  let last = -1;
  for (const {
    0: { length },
    index,
  } of text === '' ? [] : text.matchAll(pattern)) {
    if ((length === 0 && index === last) || isInside(text, index)) continue;
    if (at < index) yield { start: at, end: index, isMatch: false };
    at = index + length;
    last = at;
    yield { start: index, end: at, isMatch: true };
  }
  if (at < text.length) yield { start: at, end: text.length, isMatch: false };
}

const isInside = (text: string, at: number): boolean => at > 0 && (text.codePointAt(at - 1) ?? 0) > 0xffff;
