import { needNumber } from './arguments.js';
import { joinTexts, refuseLongText, repeatText } from './bounds.js';
import { exponentText, fixedText, generalText } from './numbers.js';
import {
  Float,
  TemplateError,
  Tuple,
  toFloat,
  toRepr,
  toText,
  typeName,
  Undefined,
  type Value,
  View,
} from './values.js';

const DIRECTIVE = /^(?<flags>[-+ 0#]*)(?<width>\d+|\*)?(?:\.(?<digits>\d+|\*)?)?[hlL]?(?<kind>.)/su;

/** How one value is written. */
interface Directive {
  kind: string;
  flags: string;
  width: number;
  /** Digits or letters; null where none are given. */
  digits: number | null;
}

/** Python's `'…' % values`: a dictionary for named directives, a tuple for those in order, anything else for the only one. */
export function formatPercent(text: string, values: Value): string {
  const source = new Source(values);
  const written: string[] = [];
  let rest = text;
  for (let at = rest.indexOf('%'); at >= 0; at = rest.indexOf('%')) {
    written.push(rest.slice(0, at));
    rest = rest.slice(at + 1);
    if (rest.startsWith('%')) {
      written.push('%');
      rest = rest.slice(1);
      continue;
    }
    const key = keyOf(rest);
    if (key !== null) source.enter(key);
    const { directive, length } = readDirective(rest.slice(key === null ? 0 : key.length + 2), source);
    written.push(write(source.take(), directive));
    rest = rest.slice((key === null ? 0 : key.length + 2) + length);
  }
  source.refuseRest();
  return joinTexts([...written, rest]);
}

/** What directives take their values from. */
class Source {
  private list: readonly Value[];
  private next = 0;

  constructor(private readonly values: Value) {
    this.list = values instanceof Tuple && !(values instanceof View) ? values : [values];
  }

  take(): Value {
    const value = this.list[this.next];
    this.next += 1;
    if (value === undefined) throw new TemplateError('not enough values for the format: argument is missing');
    return value;
  }

  /** The next value is that of a key. */
  enter(key: string): void {
    if (!(this.values instanceof Map)) throw new TemplateError('format requires a mapping');
    const value = this.values.get(key);
    if (value === undefined) throw new TemplateError(`not enough values for the format: key '${key}' is missing`);
    this.list = [value];
    this.next = 0;
  }

  /** Lists, dictionaries and what is not there may go unread: Python takes them for what keys are looked up in. */
  refuseRest(): void {
    const isList = Array.isArray(this.values) && !(this.values instanceof Tuple);
    const isLookedUp = isList || this.values instanceof Map || this.values instanceof Undefined;
    if (this.next < this.list.length && !isLookedUp)
      throw new TemplateError('not all arguments converted during string formatting');
  }
}

/** The key in brackets that a directive begins with, which may hold brackets; null where it has none. */
function keyOf(text: string): string | null {
  if (!text.startsWith('(')) return null;
  let depth = 0;
  for (let i = 0; i < text.length; i += 1) {
    if (text[i] === '(') depth += 1;
    if (text[i] === ')') depth -= 1;
    if (depth === 0) return text.slice(1, i);
  }
  throw new TemplateError('incomplete format key');
}

function readDirective(text: string, source: Source): { directive: Directive; length: number } {
  const match = DIRECTIVE.exec(text);
  if (match?.groups === undefined) throw new TemplateError('incomplete format');
  const { flags = '', width, digits, kind = '' } = match.groups as Record<string, string | undefined>;
  const wide = width === '*' ? starred(source) : Number(width ?? 0);
  const hasDigits = digits !== undefined || /\.[hlL]?.$/su.test(match[0]);
  const directive = {
    kind,
    flags: wide < 0 ? `${flags}-` : flags,
    width: Math.abs(wide),
    digits: digits === '*' ? Math.max(0, starred(source)) : hasDigits ? Number(digits ?? 0) : null,
  };
  refuseLongText(directive.width);
  refuseLongText(directive.digits ?? 0);
  return { directive, length: match[0].length };
}

function starred(source: Source): number {
  const value = source.take();
  if (typeof value === 'bigint' || typeof value === 'boolean') return Number(value);
  throw new TemplateError('* wants int');
}

function write(value: Value, directive: Directive): string {
  const { kind } = directive;
  switch (kind) {
    case 's':
      return padded(cut(toText(value), directive), directive);
    case 'r':
      return padded(cut(toRepr(value), directive), directive);
    case 'a':
      return padded(cut(asciiOf(toRepr(value)), directive), directive);
    case 'c':
      return padded(letterOf(value), directive);
    case 'd':
    case 'i':
    case 'u':
      return writeWhole(whole(value), '', 10, directive);
    case 'x':
      return writeWhole(onlyWhole(value, kind), '0x', 16, directive);
    case 'X':
      return writeWhole(onlyWhole(value, kind), '0x', 16, directive).toUpperCase();
    case 'o':
      return writeWhole(onlyWhole(value, kind), '0o', 8, directive);
    case 'e':
    case 'f':
    case 'g':
      return writeFloat(toFloat(needNumber(value, `%${kind}`)), directive);
    case 'E':
    case 'F':
    case 'G':
      return writeFloat(toFloat(needNumber(value, `%${kind}`)), directive).toUpperCase();
    default:
      throw new TemplateError(`unsupported format character '${kind}'`);
  }
}

const cut = (text: string, { digits }: Directive): string =>
  digits === null ? text : [...text].slice(0, digits).join('');

/** Python's `ascii` of what `repr` wrote. */
const asciiOf = (text: string): string =>
  text.replace(/[^\0-\u007f]/gu, (letter) => {
    const code = (letter.codePointAt(0) ?? 0).toString(16);
    const [mark, count] = code.length <= 2 ? ['x', 2] : code.length <= 4 ? ['u', 4] : ['U', 8];
    return `\\${mark}${code.padStart(count, '0')}`;
  });

function letterOf(value: Value): string {
  if (typeof value === 'string' && [...value].length === 1) return value;
  const code = typeof value === 'bigint' || typeof value === 'boolean' ? Number(value) : -1;
  if (code >= 0 && code <= 0x10ffff) return String.fromCodePoint(code);
  throw new TemplateError(`%c requires an int of a letter or one letter, not '${typeName(value)}'`);
}

function whole(value: Value): bigint {
  const number = needNumber(value, '%d');
  if (!(number instanceof Float)) return number;
  if (Number.isFinite(number.value)) return BigInt(Math.trunc(number.value));
  throw new TemplateError(`cannot convert float ${toText(number)} to integer`);
}

function onlyWhole(value: Value, kind: string): bigint {
  const number = needNumber(value, `%${kind}`);
  if (!(number instanceof Float)) return number;
  throw new TemplateError(`%${kind} format: an integer is required, not float`);
}

function writeWhole(number: bigint, prefix: string, base: number, directive: Directive): string {
  const digits = (number < 0n ? -number : number).toString(base).padStart(directive.digits ?? 0, '0');
  return signed(number < 0n, directive.flags.includes('#') ? prefix : '', digits, directive);
}

function writeFloat(number: number, directive: Directive): string {
  const isNegative = number < 0 || Object.is(number, -0);
  return signed(isNegative, '', sizeText(Math.abs(number), directive), directive);
}

function sizeText(size: number, { kind, digits, flags }: Directive): string {
  if (!Number.isFinite(size)) return Number.isNaN(size) ? 'nan' : 'inf';
  const written = { places: digits ?? 6, keepsPoint: flags.includes('#') };
  const text = { f: fixedText, e: exponentText, g: generalText }[kind.toLowerCase()];
  return text === undefined ? '' : text(size, written);
}

/** A number with its sign, and zeros before its digits where these fill the width. */
function signed(isNegative: boolean, prefix: string, digits: string, directive: Directive): string {
  const { flags, width } = directive;
  const sign = isNegative ? '-' : flags.includes('+') ? '+' : flags.includes(' ') ? ' ' : '';
  const zeros = flags.includes('0') && !flags.includes('-') ? width - sign.length - prefix.length - digits.length : 0;
  return padded(sign + prefix + repeatText('0', zeros) + digits, directive);
}

function padded(text: string, { flags, width }: Directive): string {
  // Most have no width, and a text may have millions of letters.
  if (width === 0) return text;
  const fill = repeatText(' ', width - [...text].length);
  return flags.includes('-') ? text + fill : fill + text;
}
