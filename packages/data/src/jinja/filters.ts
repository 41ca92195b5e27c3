import { bind, lengthOf, needInt, needNumber, needText, optionalText } from './arguments.js';
import { joinTexts, repeatText } from './bounds.js';
import { attributeOf } from './methods.js';
import { formatPercent } from './percent.js';
import { testOf } from './tests.js';
import { capitalize, replace, splitLines, strip } from './text.js';
import {
  type Arguments,
  type Callable,
  compare,
  Float,
  isEqual,
  isNumber,
  isTrue,
  itemsOf,
  JSON_PLAIN,
  Lazy,
  orElse,
  TemplateError,
  toFloat,
  toJson,
  toText,
  tupleOf,
  typeName,
  Undefined,
  Unsupported,
  type Value,
} from './values.js';

type Filter = (value: Value, given: Arguments) => Value;

const textFilter =
  (change: (text: string) => Value): Filter =>
  (value) =>
    change(toText(value));

/** `a.b.0` of a value, as filters take attributes. */
function pathOf(value: Value, path: Value): Value {
  return toText(path)
    .split('.')
    .reduce((at: Value, part) => attributeOf(at, /^\d+$/.test(part) ? BigInt(part) : part, false), value);
}

/** What an item is compared by: an attribute where one is named, in lower case unless that matters. */
function keyOf(item: Value, attribute: Value | undefined, caseSensitive: Value | undefined): Value {
  const key = attribute === undefined || attribute === null ? item : pathOf(item, attribute);
  return typeof key === 'string' && !isTrue(caseSensitive ?? false) ? key.toLowerCase() : key;
}

const sorted: Filter = (value, given) => {
  const [reverse, caseSensitive, attribute] = bind(given, ['reverse', 'case_sensitive', 'attribute'], 'sort');
  const sign = isTrue(reverse ?? false) ? -1 : 1;
  const keyed = itemsOf(value).map((item) => [keyOf(item, attribute, caseSensitive), item] as const);
  return keyed.sort(([a], [b]) => sign * compare(a, b)).map(([, item]) => item);
};

const dictSorted: Filter = (value, given) => {
  const [caseSensitive, by, reverse] = bind(given, ['case_sensitive', 'by', 'reverse'], 'dictsort');
  if (!(value instanceof Map)) throw new TemplateError(`'${typeName(value)}' object has no attribute 'items'`);
  const at = by === 'value' ? 1 : 0;
  const sign = isTrue(reverse ?? false) ? -1 : 1;
  const keyed = [...value].map((entry) => [keyOf(entry[at], undefined, caseSensitive), entry] as const);
  return keyed.sort(([a], [b]) => sign * compare(a, b)).map(([, entry]) => tupleOf(entry));
};

const most =
  (of: string, sign: number): Filter =>
  (value, given) => {
    const [caseSensitive, attribute] = bind(given, ['case_sensitive', 'attribute'], of);
    const key = (item: Value): Value => keyOf(item, attribute, caseSensitive);
    const [first, ...rest] = itemsOf(value);
    if (first === undefined) return new Undefined('No aggregated item, sequence was empty.');
    return rest.reduce((best, item) => (sign * compare(key(item), key(best)) > 0 ? item : best), first);
  };

const unique: Filter = (value, given) => {
  const [caseSensitive, attribute] = bind(given, ['case_sensitive', 'attribute'], 'unique');
  const seen: Value[] = [];
  const first = itemsOf(value).filter((item) => {
    const key = keyOf(item, attribute, caseSensitive);
    if (seen.some((one) => isEqual(one, key))) return false;
    seen.push(key);
    return true;
  });
  return new Lazy(first);
};

const select =
  (isWanted: boolean): Filter =>
  (value, { args: [name, ...args], named }) => {
    const test = name === undefined ? isTrue : testOf(needText(name, 'select()'), { args, named });
    return new Lazy(itemsOf(value).filter((item) => test(item) === isWanted));
  };

const selectBy =
  (isWanted: boolean): Filter =>
  (value, { args: [attribute, name, ...args], named }) => {
    const test = name === undefined ? isTrue : testOf(needText(name, 'selectattr()'), { args, named });
    return new Lazy(itemsOf(value).filter((item) => test(pathOf(item, attribute ?? '')) === isWanted));
  };

const mapped: Filter = (value, { args: [name, ...args], named }) => {
  const attribute = named.get('attribute');
  if (attribute === undefined) {
    const filter = filterOf(needText(name, 'map()'));
    return new Lazy(itemsOf(value).map((item) => filter(item, { args, named })));
  }
  const otherwise = named.get('default');
  const found = (item: Value): Value => {
    const at = pathOf(item, attribute);
    return at instanceof Undefined && otherwise !== undefined ? otherwise : at;
  };
  return new Lazy(itemsOf(value).map(found));
};

const joined: Filter = (value, given) => {
  const [between, attribute] = bind(given, ['d', 'attribute'], 'join');
  const items = itemsOf(value).map((item) => (attribute === undefined ? item : pathOf(item, attribute)));
  return joinTexts(items.map(toText), toText(between ?? ''));
};

const indented: Filter = (value, given) => {
  const [width, first, blank] = bind(given, ['width', 'first', 'blank'], 'indent');
  const margin = typeof width === 'string' ? width : repeatText(' ', needInt(width, 4, 'indent()'));
  const lines = splitLines(`${toText(value)}\n`);
  const rest = lines.slice(1).map((line) => (line !== '' || isTrue(blank ?? false) ? margin + line : line));
  return (isTrue(first ?? false) ? margin : '') + joinTexts([lines[0] ?? '', ...rest], '\n');
};

const asJson: Filter = (value, given) => {
  const [ascii, indent, separators, sortKeys] = bind(
    given,
    ['ensure_ascii', 'indent', 'separators', 'sort_keys'],
    'tojson',
  );
  if (value instanceof Undefined) throw new TemplateError('Object of type Undefined is not JSON serializable');
  const [item, key] = Array.isArray(separators) ? separators.map(toText) : [];
  return toJson(value, {
    ...JSON_PLAIN,
    ensureAscii: isTrue(ascii ?? false),
    indent:
      indent === undefined || indent === null
        ? null
        : typeof indent === 'string'
          ? indent
          : repeatText(' ', needInt(indent, 0, 'tojson()')),
    separators: item === undefined || key === undefined ? null : [item, key],
    sortKeys: isTrue(sortKeys ?? false),
  });
};

const asInt: Filter = (value, given) => {
  const [otherwise, base = 10n] = bind(given, ['default', 'base'], 'int');
  if (base !== 10n) throw new Unsupported(`numbers of base ${toText(base)} in the filter 'int'`);
  const text = typeof value === 'string' ? strip(value, null) : '';
  if (/^[+-]?\d+$/.test(text)) return BigInt(text.replace('+', ''));
  const number = isNumber(value) ? toFloat(value) : text === '' ? Number.NaN : Number(text);
  if (typeof value === 'bigint') return value;
  return Number.isFinite(number) ? BigInt(Math.trunc(number)) : orElse(otherwise, 0n);
};

const asFloat: Filter = (value, given) => {
  const [otherwise] = bind(given, ['default'], 'float');
  const text = typeof value === 'string' ? strip(value, null) : '';
  const number = isNumber(value) ? toFloat(value) : text === '' ? Number.NaN : Number(text);
  return Number.isNaN(number) ? orElse(otherwise, new Float(0)) : new Float(number);
};

const rounded: Filter = (value, given) => {
  const [digits, method] = bind(given, ['precision', 'method'], 'round');
  const count = needInt(digits, 0, 'round()');
  const scale = 10 ** count;
  const number = needNumber(value, 'round()');
  const scaled = toFloat(number) * scale;
  if (method === 'ceil') return new Float(Math.ceil(scaled) / scale);
  if (method === 'floor') return new Float(Math.floor(scaled) / scale);
  if (typeof number === 'bigint' && count >= 0) return number;
  const below = Math.floor(scaled);
  // Python rounds halves to the even side; a half has few binary digits, whatever the product says.
  const isHalf = scaled - below === 0.5 && Number.isInteger(toFloat(number) * 2 ** (Math.max(0, count) + 1));
  if (isHalf) return new Float((below + (below % 2 === 0 ? 0 : 1)) / scale);
  return new Float(count >= 0 ? Number(toFloat(number).toFixed(count)) : Math.round(scaled) / scale);
};

const total: Filter = (value, given) => {
  const [attribute, start] = bind(given, ['attribute', 'start'], 'sum');
  const items = itemsOf(value).map((item) =>
    needNumber(attribute === undefined ? item : pathOf(item, attribute), 'sum()'),
  );
  return [needNumber(start ?? 0n, 'sum()'), ...items].reduce((sum, item) =>
    typeof sum === 'bigint' && typeof item === 'bigint' ? sum + item : new Float(toFloat(sum) + toFloat(item)),
  );
};

const titled = (text: string): string =>
  text
    .split(/([-\s({[<]+)/)
    .map((part) => {
      const [first = ''] = part;
      return first.toUpperCase() + part.slice(first.length).toLowerCase();
    })
    .join('');

const HTML: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&#34;', "'": '&#39;' };

const FILTERS: Record<string, Filter> = {
  abs: (value) => {
    const number = needNumber(value, 'abs()');
    return number instanceof Float ? new Float(Math.abs(number.value)) : number < 0n ? -number : number;
  },
  attr: (value, given) => attributeOf(value, bind(given, ['name'], 'attr')[0] ?? '', true),
  capitalize: textFilter(capitalize),
  default: (value, given) => {
    const [otherwise, isStrict] = bind(given, ['default_value', 'boolean'], 'default');
    const isMissing = value instanceof Undefined || (isTrue(isStrict ?? false) && !isTrue(value));
    return isMissing ? orElse(otherwise, '') : value;
  },
  dictsort: dictSorted,
  escape: textFilter((text) => text.replace(/[&<>"']/g, (letter) => HTML[letter] ?? letter)),
  first: (value) => orElse(itemsOf(value)[0], new Undefined('No first item, sequence was empty.')),
  float: asFloat,
  format: (value, { args, named }) =>
    formatPercent(toText(value), named.size > 0 ? new Map<Value, Value>(named) : tupleOf(args)),
  indent: indented,
  int: asInt,
  items: (value) => {
    if (value instanceof Undefined) return new Lazy([]);
    if (value instanceof Map) return new Lazy([...value].map(tupleOf));
    throw new TemplateError('Can only get item pairs from a mapping.');
  },
  join: joined,
  last: (value) => orElse(itemsOf(value).at(-1), new Undefined('No last item, sequence was empty.')),
  length: (value) => BigInt(lengthOf(value)),
  list: (value) => [...itemsOf(value)],
  lower: textFilter((text) => text.toLowerCase()),
  map: mapped,
  max: most('max', 1),
  min: most('min', -1),
  reject: select(false),
  rejectattr: selectBy(false),
  replace: (value, given) => {
    const [old, by, count] = bind(given, ['old', 'new', 'count'], 'replace');
    const times = count === null ? -1 : needInt(count, -1, 'replace()');
    return replace(toText(value), toText(old ?? ''), toText(by ?? ''), times);
  },
  reverse: (value) =>
    typeof value === 'string' ? [...value].reverse().join('') : new Lazy([...itemsOf(value)].reverse()),
  round: rounded,
  safe: (value) => value,
  select: select(true),
  selectattr: selectBy(true),
  sort: sorted,
  string: textFilter((text) => text),
  sum: total,
  title: textFilter(titled),
  tojson: asJson,
  trim: (value, given) => strip(toText(value), optionalText(bind(given, ['chars'], 'trim')[0], 'trim()')),
  unique,
  upper: textFilter((text) => text.toUpperCase()),
};

const ALIASES: Record<string, string> = { d: 'default', count: 'length', e: 'escape' };

/** @throws Unsupported naming a filter that is not known here. */
export function filterOf(name: string): Filter {
  const known = Object.hasOwn(ALIASES, name) ? ALIASES[name] : name;
  const filter = known !== undefined && Object.hasOwn(FILTERS, known) ? FILTERS[known] : undefined;
  if (filter === undefined) throw new Unsupported(`the filter '${name}'`);
  return filter;
}

export type { Callable, Filter };
