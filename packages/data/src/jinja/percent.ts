import { needNumber } from './arguments.js';
import { refuseLongText } from './bounds.js';
import { Float, orElse, TemplateError, Tuple, toFloat, toRepr, toText, Unsupported, type Value } from './values.js';

const DIRECTIVE = /%(?:\((?<key>[^)]*)\))?(?<flags>[-+ 0#]*)(?<width>\d+)?(?:\.(?<digits>\d+))?(?<kind>[a-zA-Z%])/g;

/** Python's `'…' % values`: a dictionary for named directives, a tuple for those in order, anything else for the only one. */
export function formatPercent(text: string, values: Value): string {
  const list: Value[] = values instanceof Tuple ? values : [values];
  let next = 0;
  const take = (key: string | undefined): Value => {
    if (key !== undefined)
      return values instanceof Map && values.has(key) ? orElse(values.get(key), null) : missing(`key '${key}'`);
    const value = list[next];
    next += 1;
    return value === undefined ? missing('argument') : value;
  };
  const formatted = text.replace(DIRECTIVE, (...match: unknown[]) => {
    const { key, flags = '', width, digits, kind = '' } = match.at(-1) as Record<string, string | undefined>;
    if (kind === '%') return '%';
    return pad(write(take(key), kind, flags, digits === undefined ? null : Number(digits)), flags, Number(width ?? 0));
  });
  if (next < list.length && !(values instanceof Map)) {
    throw new TemplateError('not all arguments converted during string formatting');
  }
  return formatted;
}

function missing(what: string): never {
  throw new TemplateError(`not enough values for the format: ${what} is missing`);
}

function write(value: Value, kind: string, flags: string, digits: number | null): string {
  switch (kind) {
    case 's':
      return toText(value).slice(0, digits ?? undefined);
    case 'r':
      return toRepr(value).slice(0, digits ?? undefined);
    case 'd':
    case 'i':
    case 'u':
      return signed(String(whole(value)), flags);
    case 'f':
    case 'F':
      return signed(toFloat(needNumber(value, '%f')).toFixed(digits ?? 6), flags);
    case 'x':
      return signed(whole(value).toString(16), flags);
    case 'X':
      return signed(whole(value).toString(16).toUpperCase(), flags);
    default:
      throw new Unsupported(`the directive '%${kind}' of a formatted text`);
  }
}

function whole(value: Value): bigint {
  const number = needNumber(value, '%d');
  return number instanceof Float ? BigInt(Math.trunc(number.value)) : number;
}

const signed = (digits: string, flags: string): string =>
  digits.startsWith('-') || !/[+ ]/.test(flags) ? digits : (flags.includes('+') ? '+' : ' ') + digits;

function pad(text: string, flags: string, width: number): string {
  refuseLongText(width);
  if (flags.includes('-')) return text.padEnd(width);
  if (!flags.includes('0') || !/^[+-]?[\da-fA-F]/.test(text)) return text.padStart(width);
  const sign = /^[+ -]/.exec(text)?.[0] ?? '';
  return sign + text.slice(sign.length).padStart(width - sign.length, '0');
}
