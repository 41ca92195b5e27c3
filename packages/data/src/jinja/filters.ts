import { bind, lengthOf, needInt, needNumber, needText, optionalText } from './arguments.js';
import { joinTexts, repeatText } from './bounds.js';
import { attributeOf, ownAttribute } from './methods.js';
import { readFloat, readWhole, roundFloat, roundWhole } from './numbers.js';
import { operate } from './operators.js';
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

/** The parts of `a.b.0`, as filters take attributes. */
const partsOf = (path: Value): Value[] =>
  toText(path)
    .split('.')
    .map((part) => (/^\d+$/.test(part) ? BigInt(part) : part));

/** `a.b.0` of a value; `otherwise` stands for each part that is not there. */
const pathOf = (value: Value, path: Value, otherwise: Value = null): Value =>
  partsOf(path).reduce((at: Value, part) => {
    const found = attributeOf(at, part, false);
    return found instanceof Undefined && otherwise !== null ? otherwise : found;
  }, value);

/** An attribute of an item where one is named, else the item itself. */
const attributeOr = (item: Value, attribute: Value | undefined): Value =>
  attribute === undefined || attribute === null ? item : pathOf(item, attribute);

/** What an item is compared by, texts in lower case unless that matters. */
function keyOf(item: Value, attribute: Value | undefined, caseSensitive: Value | undefined): Value {
  const key = attributeOr(item, attribute);
  return typeof key === 'string' && !isTrue(caseSensitive ?? false) ? key.toLowerCase() : key;
}

const sorted: Filter = (value, given) => {
  const [reverse, caseSensitive, attribute] = bind(given, ['reverse', 'case_sensitive', 'attribute'], 'sort');
  const sign = isTrue(reverse ?? false) ? -1 : 1;
  const attributes = typeof attribute === 'string' ? attribute.split(',') : [attribute];
  const keysOf = (item: Value): Value[] => attributes.map((one) => keyOf(item, one, caseSensitive));
  const keyed = itemsOf(value).map((item) => [keysOf(item), item] as const);
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

function* uniqueOf(value: Value, attribute: Value | undefined, caseSensitive: Value | undefined): Iterable<Value> {
  const seen: Value[] = [];
  for (const item of itemsOf(value)) {
    const key = keyOf(item, attribute, caseSensitive);
    if (key instanceof Map || typeName(key) === 'list') throw new TemplateError(`unhashable type: '${typeName(key)}'`);
    if (seen.some((one) => isEqual(one, key))) continue;
    seen.push(key);
    yield item;
  }
}

const unique: Filter = (value, given) => {
  const [caseSensitive, attribute] = bind(given, ['case_sensitive', 'attribute'], 'unique');
  return new Lazy(uniqueOf(value, attribute, caseSensitive));
};

/** What Jinja makes of each item once it is asked. What is not true has no items, whatever it is. */
function* eachOf(value: Value, make: () => (item: Value) => Value | undefined): Iterable<Value> {
  if (!isTrue(value)) return;
  const change = make();
  for (const item of itemsOf(value)) {
    const changed = change(item);
    if (changed !== undefined) yield changed;
  }
}

const testBy = (name: Value | undefined, of: string, given: Arguments): ((value: Value) => boolean) =>
  name === undefined ? isTrue : testOf(needText(name, of), given);

const select =
  (isWanted: boolean): Filter =>
  (value, { args: [name, ...args], named }) =>
    new Lazy(
      eachOf(value, () => {
        const test = testBy(name, 'select()', { args, named });
        return (item) => (test(item) === isWanted ? item : undefined);
      }),
    );

const selectBy =
  (isWanted: boolean): Filter =>
  (value, { args: [attribute, name, ...args], named }) =>
    new Lazy(
      eachOf(value, () => {
        if (attribute === undefined) throw new TemplateError('Missing parameter for attribute name');
        const test = testBy(name, 'selectattr()', { args, named });
        return (item) => (test(attributeOr(item, attribute)) === isWanted ? item : undefined);
      }),
    );

const mapped: Filter = (value, given) =>
  new Lazy(
    eachOf(value, () => (given.args.length === 0 && given.named.has('attribute') ? byPath(given) : byFilter(given))),
  );

function byFilter({ args: [name, ...args], named }: Arguments): (item: Value) => Value {
  const filter = filterOf(needText(name, 'map()'));
  return (item) => filter(item, { args, named });
}

function byPath(given: Arguments): (item: Value) => Value {
  const [attribute = null, otherwise] = bind(given, ['attribute', 'default'], 'map');
  return (item) => (attribute === null ? item : pathOf(item, attribute, otherwise));
}

const joined: Filter = (value, given) => {
  const [between, attribute] = bind(given, ['d', 'attribute'], 'join');
  return joinTexts(
    itemsOf(value).map((item) => toText(attributeOr(item, attribute))),
    toText(between ?? ''),
  );
};

const indented: Filter = (value, given) => {
  const [width, first, blank] = bind(given, ['width', 'first', 'blank'], 'indent');
  const margin = typeof width === 'string' ? width : repeatText(' ', needInt(width, 4, 'indent()'));
  const lines = splitLines(`${needText(value, 'indent()')}\n`);
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

const refuseUndefined = (value: Value): void => {
  if (value instanceof Undefined) throw new TemplateError(`'${value.name}' is undefined`);
};

/** Python's `int` of a float. @throws TemplateError for one without end. */
function cutFloat(number: number): bigint | null {
  if (Number.isNaN(number)) return null;
  if (!Number.isFinite(number)) throw new TemplateError('cannot convert float infinity to integer');
  return BigInt(Math.trunc(number));
}

function textToInt(text: string, base: Value): bigint | null {
  const whole = typeof base === 'bigint' || typeof base === 'boolean' ? readWhole(text, BigInt(base)) : null;
  if (whole !== null) return whole;
  const number = readFloat(text);
  return number === null || !Number.isFinite(number) ? null : cutFloat(number);
}

const asInt: Filter = (value, given) => {
  const [otherwise, base = 10n] = bind(given, ['default', 'base'], 'int');
  refuseUndefined(value);
  const otherwiseOr = (whole: bigint | null): Value => whole ?? orElse(otherwise, 0n);
  if (typeof value === 'string') return otherwiseOr(textToInt(value, base));
  if (value instanceof Float) return otherwiseOr(cutFloat(value.value));
  return otherwiseOr(typeof value === 'bigint' || typeof value === 'boolean' ? BigInt(value) : null);
};

const asFloat: Filter = (value, given) => {
  const [otherwise] = bind(given, ['default'], 'float');
  refuseUndefined(value);
  const number = typeof value === 'string' ? readFloat(value) : isNumber(value) ? toFloat(value) : null;
  return number === null ? orElse(otherwise, new Float(0)) : new Float(number);
};

const rounded: Filter = (value, given) => {
  const [digits, method = 'common'] = bind(given, ['precision', 'method'], 'round');
  const count = needInt(digits, 0, 'round()');
  const number = needNumber(value, 'round()');
  if (method === 'common') {
    if (number instanceof Float) return new Float(roundFloat(number.value, count));
    return count < 0 ? roundWhole(number, count) : number;
  }
  if (method !== 'ceil' && method !== 'floor') throw new TemplateError('method must be common, ceil or floor');
  const scale = 10 ** count;
  // Python has no whole number below 0 that is 0.
  return new Float((Math[method](toFloat(number) * scale) + 0) / scale);
};

const total: Filter = (value, given) => {
  const [attribute, start = 0n] = bind(given, ['attribute', 'start'], 'sum');
  if (typeof start === 'string') throw new TemplateError("sum() can't sum strings");
  return itemsOf(value).reduce((sum: Value, item) => operate('+', sum, attributeOr(item, attribute)), start);
};

const first: Filter = (value) => {
  const item = value instanceof Lazy ? value.next() : itemsOf(value)[0];
  return orElse(item, new Undefined('No first item, sequence was empty.'));
};

const last: Filter = (value) => {
  if (value instanceof Lazy) throw new TemplateError("'generator' object is not reversible");
  return orElse(itemsOf(value).at(-1), new Undefined('No last item, sequence was empty.'));
};

/** A text stays one, and what is made while it is asked becomes a list. */
const reversed: Filter = (value) => {
  if (typeof value === 'string') return [...value].reverse().join('');
  const items = [...itemsOf(value)].reverse();
  return value instanceof Lazy ? items : new Lazy(items);
};

const formatted: Filter = (value, { args, named }) => {
  if (args.length > 0 && named.size > 0)
    throw new TemplateError("can't handle positional and keyword arguments at the same time");
  return formatPercent(toText(value), named.size > 0 ? new Map<Value, Value>(named) : tupleOf(args));
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
  attr: (value, given) => ownAttribute(value, needText(bind(given, ['name'], 'attr')[0], 'attr()')),
  capitalize: textFilter(capitalize),
  default: (value, given) => {
    const [otherwise, isStrict] = bind(given, ['default_value', 'boolean'], 'default');
    const isMissing = value instanceof Undefined || (isTrue(isStrict ?? false) && !isTrue(value));
    return isMissing ? orElse(otherwise, '') : value;
  },
  dictsort: dictSorted,
  escape: textFilter((text) => text.replace(/[&<>"']/g, (letter) => HTML[letter] ?? letter)),
  first,
  float: asFloat,
  format: formatted,
  indent: indented,
  int: asInt,
  items: (value) => {
    if (value instanceof Undefined) return new Lazy([]);
    if (value instanceof Map) return new Lazy([...value].map(tupleOf));
    throw new TemplateError('Can only get item pairs from a mapping.');
  },
  join: joined,
  last,
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
  reverse: reversed,
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
