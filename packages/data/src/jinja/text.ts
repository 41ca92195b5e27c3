import { joinTexts } from './bounds.js';

/** What Python's `str` takes for white space: not U+FEFF, and U+0085 and the separators U+001C to U+001F too. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: separators are white space to Python
const SPACE = /[\t-\r\u001c-\u0020\u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]/;
const SPACES = new RegExp(`${SPACE.source}+`);

/** What `str.splitlines` cuts at. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: separators end lines in Python
const LINE_END = /\r\n|[\n\r\v\f\u001c-\u001e\u0085\u2028\u2029]/;

// biome-ignore lint/suspicious/noControlCharactersInRegex: separators end lines in Python
const AFTER_LINE_END = /(?<=\r\n|\r(?!\n)|[\n\v\f\u001c-\u001e\u0085\u2028\u2029])/;

export const isSpace = (letter: string): boolean => SPACE.test(letter);

/** Python's `strip`, `lstrip` and `rstrip`: of white space, or of any of the given letters. */
export function strip(text: string, letters: string | null, sides: 'both' | 'left' | 'right' = 'both'): string {
  const set = letters === null ? null : new Set(letters);
  const drops = (letter: string): boolean => (set === null ? isSpace(letter) : set.has(letter));
  // Only a set with letters of two units asks for whole letters.
  const all = letters !== null && letters.length !== set?.size ? [...text] : text;
  let from = 0;
  let to = all.length;
  if (sides !== 'right') while (from < to && drops(all[from] as string)) from += 1;
  if (sides !== 'left') while (to > from && drops(all[to - 1] as string)) to -= 1;
  return typeof all === 'string' ? all.slice(from, to) : all.slice(from, to).join('');
}

/** Python's `split`: at a separator, or at runs of white space; at most `most` times unless that is negative. */
export function split(text: string, separator: string | null, most: number): string[] {
  if (separator === null) return splitSpaces(text, most);
  const parts = text.split(separator);
  if (most < 0 || parts.length <= most + 1) return parts;
  return [...parts.slice(0, most), parts.slice(most).join(separator)];
}

/** Python's `rsplit`: as `split`, counted from the right. */
export function splitRight(text: string, separator: string | null, most: number): string[] {
  if (most < 0) return split(text, separator, -1);
  const turn = (part: string): string => [...part].reverse().join('');
  return split(turn(text), separator === null ? null : turn(separator), most)
    .map(turn)
    .reverse();
}

function splitSpaces(text: string, most: number): string[] {
  const parts: string[] = [];
  let rest = strip(text, null, 'left');
  while (rest !== '') {
    const space = parts.length === most ? null : SPACES.exec(rest);
    parts.push(space === null ? strip(rest, null, most < 0 ? 'right' : 'left') : rest.slice(0, space.index));
    rest = space === null ? '' : rest.slice(space.index + space[0].length);
  }
  return parts;
}

/** Python's `splitlines`; its argument keeps the ends of the lines. */
export function splitLines(text: string, keepsEnds = false): string[] {
  const lines = text.split(keepsEnds ? AFTER_LINE_END : LINE_END);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** Python's `replace`; an empty `old` stands between all letters. */
export function replace(text: string, old: string, by: string, most: number): string {
  if (old !== '') return joinTexts(most < 0 ? text.split(old) : split(text, old, most), by);
  const letters = [...text];
  const limit = most < 0 ? letters.length + 1 : most;
  const written = letters.map((letter, i) => (i < limit ? by + letter : letter));
  return joinTexts(limit > letters.length ? [...written, by] : written);
}

/** Python's `str.title`: letters after anything that is no letter are upper case. */
export const titleCase = (text: string): string => text.replace(/\p{L}[\p{L}\p{M}]*/gu, (word) => capitalize(word));

/** Python's `str.capitalize`. */
export function capitalize(text: string): string {
  const [first = ''] = text;
  return first.toUpperCase() + text.slice(first.length).toLowerCase();
}

export const countOf = (text: string, part: string): number => text.split(part).length - 1;
