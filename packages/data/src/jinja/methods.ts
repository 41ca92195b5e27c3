import { bind, needInt, needText, optionalText } from './arguments.js';
import { joinTexts, refuseLongText } from './bounds.js';
import { isDigit, isLower, isNumeric, isUpper } from './letters.js';
import { capitalize, countOf, isSpace, replace, split, splitLines, splitRight, strip, titleCase } from './text.js';
import {
  type Arguments,
  isEqual,
  isTrue,
  itemsOf,
  Namespace,
  orElse,
  TemplateError,
  Tuple,
  toText,
  tupleOf,
  Undefined,
  Unsupported,
  type Value,
  viewOf,
} from './values.js';

type Method<T> = (self: T, given: Arguments) => Value;

const textMethod =
  (change: (text: string) => Value): Method<string> =>
  (self) =>
    change(self);

const stripped =
  (sides: 'both' | 'left' | 'right'): Method<string> =>
  (self, given) => {
    const [letters] = bind(given, ['chars'], 'strip');
    return strip(self, optionalText(letters, 'strip()'), sides);
  };

const begins =
  (of: string, test: (text: string, part: string) => boolean): Method<string> =>
  (self, given) => {
    const [parts, ...range] = bind(given, ['prefix', 'start', 'end'], of);
    const { piece } = within(self, range, of);
    const all = parts instanceof Tuple ? parts : [parts];
    return all.some((part) => test(piece, needText(part, `${of}()`)));
  };

/** The piece of a text between two places, and how many letters stand before it. */
function within(self: string, [start, end]: (Value | undefined)[], of: string): { piece: string; from: number } {
  if (start === undefined) return { piece: self, from: 0 };
  const letters = [...self];
  const place = (at: number): number => Math.min(letters.length, Math.max(0, at < 0 ? at + letters.length : at));
  const from = place(needInt(start ?? undefined, 0, `${of}()`));
  return { piece: letters.slice(from, place(needInt(end ?? undefined, letters.length, `${of}()`))).join(''), from };
}

const splitting =
  (cut: typeof split): Method<string> =>
  (self, given) => {
    const [separator, most] = bind(given, ['sep', 'maxsplit'], 'split');
    const by = optionalText(separator, 'split()');
    if (by === '') throw new TemplateError('empty separator');
    return cut(self, by, needInt(most, -1, 'split()'));
  };

const found =
  (of: string, at: (text: string, part: string) => number): Method<string> =>
  (self, given) => {
    const [part, ...range] = bind(given, ['sub', 'start', 'end'], of);
    const { piece, from } = within(self, range, of);
    const index = at(piece, needText(part, `${of}()`));
    return BigInt(index < 0 ? -1 : from + [...piece.slice(0, index)].length);
  };

/** As `found`, and an error where the part is not there. */
const needed = (of: string, at: (text: string, part: string) => number): Method<string> => {
  const find = found(of, at);
  return (self, given) => {
    const index = find(self, given);
    if (index === -1n) throw new TemplateError('substring not found');
    return index;
  };
};

/** Every letter passes, and there is one. */
const every = (test: (letter: string) => boolean): Method<string> =>
  textMethod((text) => text !== '' && [...text].every(test));

const partition =
  (of: string, at: (text: string, part: string) => number, missing: (text: string) => Value[]): Method<string> =>
  (self, given) => {
    const by = needText(bind(given, ['sep'], of)[0], `${of}()`);
    const index = at(self, by);
    return tupleOf(index < 0 ? missing(self) : [self.slice(0, index), by, self.slice(index + by.length)]);
  };

/** The methods of texts. */
export const TEXT_METHODS: Record<string, Method<string>> = {
  upper: textMethod((text) => text.toUpperCase()),
  lower: textMethod((text) => text.toLowerCase()),
  title: textMethod(titleCase),
  capitalize: textMethod(capitalize),
  splitlines: (self, given) => splitLines(self, isTrue(bind(given, ['keepends'], 'splitlines')[0] ?? false)),
  strip: stripped('both'),
  lstrip: stripped('left'),
  rstrip: stripped('right'),
  split: splitting(split),
  rsplit: splitting(splitRight),
  startswith: begins('startswith', (text, part) => text.startsWith(part)),
  endswith: begins('endswith', (text, part) => text.endsWith(part)),
  find: found('find', (text, part) => text.indexOf(part)),
  rfind: found('rfind', (text, part) => text.lastIndexOf(part)),
  index: needed('index', (text, part) => text.indexOf(part)),
  rindex: needed('rindex', (text, part) => text.lastIndexOf(part)),
  isspace: every(isSpace),
  isdecimal: every((letter) => /^\p{Nd}$/u.test(letter)),
  isdigit: every(isDigit),
  isnumeric: every(isNumeric),
  isalpha: every((letter) => /^\p{L}$/u.test(letter)),
  isalnum: every((letter) => isNumeric(letter) || /^\p{L}$/u.test(letter)),
  isupper: textMethod(isUpper),
  islower: textMethod(isLower),
  partition: partition(
    'partition',
    (text, part) => text.indexOf(part),
    (text) => [text, '', ''],
  ),
  rpartition: partition(
    'rpartition',
    (text, part) => text.lastIndexOf(part),
    (text) => ['', '', text],
  ),
  replace: (self, given) => {
    const [old, by, most] = bind(given, ['old', 'new', 'count'], 'replace');
    return replace(self, needText(old, 'replace()'), needText(by, 'replace()'), needInt(most, -1, 'replace()'));
  },
  count: (self, given) => BigInt(countOf(self, needText(bind(given, ['sub'], 'count')[0], 'count()'))),
  join: (self, given) => {
    const [items] = bind(given, ['iterable'], 'join');
    const texts = itemsOf(items ?? null).map((item) => needText(item, 'join()'));
    return joinTexts(texts, self);
  },
  removeprefix: (self, given) => {
    const part = needText(bind(given, ['prefix'], 'removeprefix')[0], 'removeprefix()');
    return self.startsWith(part) ? self.slice(part.length) : self;
  },
  removesuffix: (self, given) => {
    const part = needText(bind(given, ['suffix'], 'removesuffix')[0], 'removesuffix()');
    return part !== '' && self.endsWith(part) ? self.slice(0, -part.length) : self;
  },
  zfill: (self, given) => {
    const width = needInt(bind(given, ['width'], 'zfill')[0], 0, 'zfill()');
    refuseLongText(width);
    const sign = /^[+-]/.exec(self)?.[0] ?? '';
    return sign + self.slice(sign.length).padStart(width - sign.length, '0');
  },
};

/** The methods of lists that change nothing. */
export const LIST_METHODS: Record<string, Method<Value[]>> = {
  index: (self, given) => {
    const [item] = bind(given, ['value'], 'index');
    const at = self.findIndex((value) => isEqual(value, item ?? null));
    if (at < 0) throw new TemplateError(`${toText(item ?? null)} is not in list`);
    return BigInt(at);
  },
  count: (self, given) => {
    const [item] = bind(given, ['value'], 'count');
    return BigInt(self.filter((value) => isEqual(value, item ?? null)).length);
  },
  copy: (self) => [...self],
};

/** The methods of dictionaries that change nothing. */
export const DICT_METHODS: Record<string, Method<Map<Value, Value>>> = {
  items: (self) => viewOf([...self].map(tupleOf)),
  keys: (self) => viewOf(self.keys()),
  values: (self) => viewOf(self.values()),
  copy: (self) => new Map(self),
  get: (self, given) => {
    const [key, otherwise] = bind(given, ['key', 'default'], 'get');
    return orElse(orElse(self.get(key ?? null), otherwise), null);
  },
};

const ALL = new Set([TEXT_METHODS, LIST_METHODS, DICT_METHODS].flatMap(Object.keys));

/** Whether any value has a method of this name. */
export const isMethod = (name: string): boolean => ALL.has(name);

/** A method bound to its value; undefined where the value has none of this name. */
export function methodOf(self: Value, name: string): ((given: Arguments) => Value) | undefined {
  const bound = <T extends Value>(methods: Record<string, Method<T>>, value: T) => {
    const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
    return method && ((given: Arguments): Value => method(value, given));
  };
  if (typeof self === 'string') return bound(TEXT_METHODS, self);
  if (Array.isArray(self)) return bound(LIST_METHODS, self);
  return self instanceof Map ? bound(DICT_METHODS, self) : undefined;
}

/** An attribute as Jinja reads it: `a.b` takes the method first, `a['b']` the item. */
export function attributeOf(self: Value, name: Value, isDotted: boolean): Value {
  if (self instanceof Undefined) throw new TemplateError(`'${self.name}' is undefined`);
  if (typeof self === 'function') throw new Unsupported(`the attribute '${toText(name)}' of a function`);
  const method = typeof name === 'string' ? methodOf(self, name) : undefined;
  if (isDotted && method) return method;
  return orElse(orElse(itemAt(self, name), method), new Undefined(toText(name)));
}

/** A value's own attribute, as the filter `attr` reads it: no item of a list or dictionary stands in. */
export function ownAttribute(self: Value, name: string): Value {
  const isItem = self instanceof Map && methodOf(self, name) === undefined;
  return isItem ? new Undefined(name) : attributeOf(self, name, true);
}

function itemAt(self: Value, key: Value): Value | undefined {
  if (self instanceof Map) return self.get(key);
  if (self instanceof Namespace) return typeof key === 'string' ? self.get(key) : undefined;
  if (typeof key !== 'bigint') return undefined;
  if (Array.isArray(self)) return self.at(Number(key));
  return typeof self === 'string' ? [...self].at(Number(key)) : undefined;
}
