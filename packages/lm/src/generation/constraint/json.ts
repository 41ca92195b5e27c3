import { type Place, place } from './place.js';

/** White space between two parts at most, bytes: a model that writes nothing else would never end. */
const BLANKS_MAX = 64;
/** Objects and lists within each other at most. */
const DEPTH_MAX = 64;
/** Places that are remembered; they are forgotten together when there are more. */
const KNOWN_MAX = 20_000;

/** What is expected: a part of the structure, or the rest of a text, number or word. */
type Mode =
  | 'start'
  | 'firstKey'
  | 'key'
  | 'colon'
  | 'value'
  | 'firstItem'
  | 'after'
  | 'end'
  | 'text'
  | 'number'
  | 'word';

interface At {
  mode: Mode;
  /** The objects and lists that are open, `{` and `[`, outermost first. */
  open: string;
  /** What is left of a word; where in a text or a number it is. */
  inner: string;
  /** What follows a text: a colon behind a key. */
  behind: 'colon' | 'after';
  blanks: number;
}

/** An object of JSON (RFC 8259) in UTF-8, with white space before it or not; nothing follows it. */
export function createJsonGrammar(): Place {
  const known = new Map<string, Place>();
  const placeOf = (at: At): Place => {
    const key = `${at.mode} ${at.open} ${at.inner} ${at.behind} ${at.blanks}`;
    const before = known.get(key);
    if (before !== undefined) return before;
    const made = place(at.mode === 'end', (byte) => {
      const next = follow(at, byte);
      return next === null ? null : placeOf(next);
    });
    if (known.size >= KNOWN_MAX) known.clear();
    known.set(key, made);
    return made;
  };
  return placeOf(structure('start', ''));
}

const structure = (mode: Mode, open: string): At => ({ mode, open, inner: '', behind: 'after', blanks: 0 });

function follow(at: At, byte: number): At | null {
  switch (at.mode) {
    case 'text':
      return followText(at, byte);
    case 'number':
      return followNumber(at, byte);
    case 'word':
      return byte !== at.inner.charCodeAt(0)
        ? null
        : at.inner.length === 1
          ? structure('after', at.open)
          : { ...at, inner: at.inner.slice(1) };
    default:
      if (isBlank(byte)) return at.mode === 'end' || at.blanks === BLANKS_MAX ? null : { ...at, blanks: at.blanks + 1 };
      return followStructure(at, String.fromCharCode(byte));
  }
}

const isBlank = (byte: number): boolean => byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;

function followStructure({ mode, open }: At, letter: string): At | null {
  switch (mode) {
    case 'start':
      return letter === '{' ? structure('firstKey', '{') : null;
    case 'firstKey':
      return letter === '}' ? closed(open) : beginKey(open, letter);
    case 'key':
      return beginKey(open, letter);
    case 'colon':
      return letter === ':' ? structure('value', open) : null;
    case 'firstItem':
      return letter === ']' ? closed(open) : beginValue(open, letter);
    case 'value':
      return beginValue(open, letter);
    case 'after': {
      const isObject = open.endsWith('{');
      if (letter === ',') return structure(isObject ? 'key' : 'value', open);
      return letter === (isObject ? '}' : ']') ? closed(open) : null;
    }
    default:
      return null;
  }
}

const closed = (open: string): At => (open.length === 1 ? structure('end', '') : structure('after', open.slice(0, -1)));

const beginKey = (open: string, letter: string): At | null =>
  letter === '"' ? { ...structure('text', open), behind: 'colon' } : null;

const WORDS: Readonly<Record<string, string>> = { t: 'rue', f: 'alse', n: 'ull' };

function beginValue(open: string, letter: string): At | null {
  if (letter === '"') return structure('text', open);
  if (letter === '{' || letter === '[')
    return open.length === DEPTH_MAX ? null : structure(letter === '{' ? 'firstKey' : 'firstItem', open + letter);
  const word = WORDS[letter];
  if (word !== undefined) return { ...structure('word', open), inner: word };
  const number = NUMBER.start?.(letter);
  return number === undefined ? null : { ...structure('number', open), inner: number };
}

const isDigit = (letter: string): boolean => letter >= '0' && letter <= '9';
const digit = (to: string) => (letter: string) => (isDigit(letter) ? to : undefined);
const isExponent = (letter: string): boolean => letter === 'e' || letter === 'E';

/** Where a letter leads inside of a number, from each place in it. */
const NUMBER: Readonly<Record<string, (letter: string) => string | undefined>> = {
  start: (letter) => (letter === '-' ? 'minus' : NUMBER.minus?.(letter)),
  minus: (letter) => (letter === '0' ? 'zero' : digit('whole')(letter)),
  zero: (letter) => (letter === '.' ? 'point' : isExponent(letter) ? 'exponent' : undefined),
  whole: (letter) => digit('whole')(letter) ?? NUMBER.zero?.(letter),
  point: digit('fraction'),
  fraction: (letter) => digit('fraction')(letter) ?? (isExponent(letter) ? 'exponent' : undefined),
  exponent: (letter) => (letter === '+' || letter === '-' ? 'sign' : digit('power')(letter)),
  sign: digit('power'),
  power: digit('power'),
};
/** Where a number may end. */
const NUMBER_ENDS = ['zero', 'whole', 'fraction', 'power'];

function followNumber(at: At, byte: number): At | null {
  const next = NUMBER[at.inner]?.(String.fromCharCode(byte));
  if (next !== undefined) return { ...at, inner: next };
  return NUMBER_ENDS.includes(at.inner) ? follow(structure('after', at.open), byte) : null;
}

/** How many bytes follow in a letter, after its first byte and the range of the second (Unicode 17, table 3-7). */
const LETTERS: readonly [from: number, to: number, inner: string][] = [
  [0xc2, 0xdf, '80bf'],
  [0xe0, 0xe0, 'a0bf 80bf'],
  [0xe1, 0xec, '80bf 80bf'],
  [0xed, 0xed, '809f 80bf'],
  [0xee, 0xef, '80bf 80bf'],
  [0xf0, 0xf0, '90bf 80bf 80bf'],
  [0xf1, 0xf3, '80bf 80bf 80bf'],
  [0xf4, 0xf4, '808f 80bf 80bf'],
];

function followText(at: At, byte: number): At | null {
  const letter = String.fromCharCode(byte);
  if (at.inner === '') {
    if (letter === '"') return structure(at.behind, at.open);
    if (letter === '\\') return { ...at, inner: '\\' };
    if (byte >= 0x20 && byte < 0x80) return at;
    const inner = LETTERS.find(([from, to]) => byte >= from && byte <= to)?.[2];
    return inner === undefined ? null : { ...at, inner };
  }
  if (at.inner === '\\') {
    if (letter === 'u') return { ...at, inner: 'hhhh' };
    return '"\\/bfnrt'.includes(letter) ? { ...at, inner: '' } : null;
  }
  if (at.inner.startsWith('h')) return /[0-9a-fA-F]/.test(letter) ? { ...at, inner: at.inner.slice(1) } : null;
  const [from, to] = [Number.parseInt(at.inner.slice(0, 2), 16), Number.parseInt(at.inner.slice(2, 4), 16)];
  return byte >= from && byte <= to ? { ...at, inner: at.inner.slice(5) } : null;
}
