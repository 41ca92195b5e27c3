/** A value of a template, as Python has it: texts, whole numbers of any length, floats apart from them, dictionaries that keep their order. */
export type Value =
  | string
  | boolean
  | null
  | bigint
  | Float
  | Undefined
  | Value[]
  | Lazy
  | Map<Value, Value>
  | Namespace
  | Callable;

/** Arguments by place and by name. */
export interface Arguments {
  args: Value[];
  named: Map<string, Value>;
}
export type Callable = (given: Arguments) => Value;

/** A number with a point or an exponent; `text` is how a file wrote it. */
export class Float {
  constructor(
    readonly value: number,
    readonly text: string | null = null,
  ) {}
}

/** What a name, key or attribute that is not there stands for. */
export class Undefined {
  constructor(readonly name: string) {}
}

/** A list that is written in round brackets and equals no list; `map`, `filter` and `slice` make plain lists of it. */
export class Tuple extends Array<Value> {
  static override get [Symbol.species](): ArrayConstructor {
    return Array;
  }
}

export const tupleOf = (items: Iterable<Value>): Tuple => Tuple.from(items) as Tuple;

/** What Python shows as a range or as the keys, values or items of a dictionary: gone through as a list is, and never written as one. */
export class View extends Tuple {}

export const viewOf = (items: Iterable<Value>): View => View.from(items) as View;

/** What Python makes while it is asked: true, without a length, and empty once it was gone through. */
export class Lazy {
  private readonly items: Iterator<Value>;

  constructor(items: Iterable<Value>) {
    this.items = items[Symbol.iterator]();
  }

  /** The next item; undefined where none is left. */
  next(): Value | undefined {
    const { done, value } = this.items.next();
    return done ? undefined : value;
  }

  /** All that are left. */
  take(): Value[] {
    const items: Value[] = [];
    for (let item = this.next(); item !== undefined; item = this.next()) items.push(item);
    return items;
  }
}

/** The one object that a template may change; that of a recursive loop may also be called. */
export class Namespace {
  readonly values = new Map<string, Value>();
  constructor(readonly call: Callable | null = null) {}

  get(name: string): Value | undefined {
    return this.values.get(name);
  }
}

/** What a template did wrong on these values: Python would raise here too. */
export class TemplateError extends Error {}

/** The template itself refuses the conversation with `raise_exception`. */
export class RaisedByTemplate extends TemplateError {}

/** A construct of Jinja that is not known here, named in the message. */
export class Unsupported extends Error {}

export const isNumber = (value: Value): value is bigint | boolean | Float =>
  typeof value === 'bigint' || typeof value === 'boolean' || value instanceof Float;

export const toFloat = (value: bigint | boolean | Float): number =>
  value instanceof Float ? value.value : Number(value);

/** `None` is a value: only what is not there gives way. */
export const orElse = <T>(value: Value | undefined, otherwise: T): Value | T =>
  value === undefined ? otherwise : value;

/** How Python calls the type of a value. */
export function typeName(value: Value): string {
  if (value === null) return 'NoneType';
  if (typeof value === 'string') return 'str';
  if (typeof value === 'boolean') return 'bool';
  if (typeof value === 'bigint') return 'int';
  if (value instanceof Float) return 'float';
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof View) return 'view';
  if (value instanceof Tuple) return 'tuple';
  if (Array.isArray(value)) return 'list';
  if (value instanceof Lazy) return 'generator';
  if (value instanceof Map) return 'dict';
  return value instanceof Namespace ? 'Namespace' : 'function';
}

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  if (typeof value === 'boolean') return value;
  if (typeof value === 'string' || Array.isArray(value)) return value.length > 0;
  if (isNumber(value)) return toFloat(value) !== 0;
  return value instanceof Map ? value.size > 0 : true;
}

export function isEqual(a: Value, b: Value): boolean {
  if (a === b) return true;
  if (isNumber(a) && isNumber(b)) {
    return a instanceof Float || b instanceof Float ? toFloat(a) === toFloat(b) : BigInt(a) === BigInt(b);
  }
  if (a instanceof Undefined) return b instanceof Undefined;
  if (Array.isArray(a)) {
    return (
      Array.isArray(b) &&
      a.constructor === b.constructor &&
      a.length === b.length &&
      a.every((value, i) => isEqual(value, b[i] as Value))
    );
  }
  if (!(a instanceof Map && b instanceof Map) || a.size !== b.size) return false;
  return [...a].every(([key, value]) => b.has(key) && isEqual(value, b.get(key) as Value));
}

/** Below 0, 0 or above 0. @throws TemplateError for values without an order. */
export function compare(a: Value, b: Value): number {
  if (isNumber(a) && isNumber(b)) {
    if (typeof a === 'bigint' && typeof b === 'bigint') return a < b ? -1 : Number(a > b);
    return toFloat(a) - toFloat(b);
  }
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : Number(a > b);
  if (Array.isArray(a) && Array.isArray(b) && a.constructor === b.constructor) {
    const at = a.findIndex((value, i) => i >= b.length || !isEqual(value, b[i] as Value));
    if (at < 0) return a.length - b.length;
    return at >= b.length ? 1 : compare(a[at] as Value, b[at] as Value);
  }
  throw new TemplateError(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** The items that a loop goes over. @throws TemplateError for what has none. */
export function itemsOf(value: Value): Value[] {
  if (Array.isArray(value)) return value;
  if (typeof value === 'string') return [...value];
  if (value instanceof Map) return [...value.keys()];
  if (value instanceof Lazy) return value.take();
  if (value instanceof Undefined) return [];
  throw new TemplateError(`'${typeName(value)}' object is not iterable`);
}

/** Python's `repr` of a float: the shortest digits, a point, an exponent from 1e16 on and below 1e-4. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return 'nan';
  if (!Number.isFinite(value)) return value > 0 ? 'inf' : '-inf';
  if (Object.is(value, -0)) return '-0.0';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-4 || size >= 1e16)) {
    const [digits = '', exponent = ''] = value.toExponential().split('e');
    const sign = exponent.startsWith('-') ? '-' : '+';
    return `${digits}e${sign}${exponent.replace(/^[+-]/, '').padStart(2, '0')}`;
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

/** Python's `str`. */
export function toText(value: Value): string {
  if (typeof value === 'string') return value;
  if (value instanceof Undefined) return '';
  return toRepr(value);
}

/** Python's `repr`. */
export function toRepr(value: Value): string {
  if (value === null) return 'None';
  if (typeof value === 'string') return quote(value);
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Float) return value.text ?? floatText(value.value);
  if (value instanceof Undefined) return 'Undefined';
  if (value instanceof Tuple && !(value instanceof View))
    return `(${value.map(toRepr).join(', ')}${value.length === 1 ? ',' : ''})`;
  if (Array.isArray(value) && !(value instanceof View)) return `[${value.map(toRepr).join(', ')}]`;
  if (value instanceof Map) return `{${[...value].map(([key, of]) => `${toRepr(key)}: ${toRepr(of)}`).join(', ')}}`;
  throw new Unsupported(`the text of a ${typeName(value)}`);
}

const ESCAPES: Record<string, string> = { '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\' };

/** What Python's `repr` escapes: all but letters, signs and the one plain space. */
const UNPRINTABLE = /\\|(?! )[\p{C}\p{Z}]/gu;

function quote(text: string): string {
  const mark = text.includes("'") && !text.includes('"') ? '"' : "'";
  const escaped = text.replace(UNPRINTABLE, (letter) => {
    const code = (letter.codePointAt(0) ?? 0).toString(16);
    const [mark, digits] = code.length <= 2 ? ['x', 2] : code.length <= 4 ? ['u', 4] : ['U', 8];
    return ESCAPES[letter] ?? `\\${mark}${code.padStart(digits, '0')}`;
  });
  return mark + (mark === "'" ? escaped.replaceAll("'", "\\'") : escaped) + mark;
}

export interface JsonStyle {
  ensureAscii: boolean;
  /** Spaces, or the text of one level; null for one line. */
  indent: string | null;
  separators: [string, string] | null;
  sortKeys: boolean;
}

export const JSON_PLAIN: JsonStyle = { ensureAscii: false, indent: null, separators: null, sortKeys: false };

/** Python's `json.dumps`; numbers that came from a file stay as they were written. */
export function toJson(value: Value, style: JsonStyle = JSON_PLAIN, depth = 0): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'string') return jsonText(value, style);
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Float) return value.text ?? jsonFloat(value.value);
  if (Array.isArray(value) && !(value instanceof View))
    return brackets(
      '[]',
      value.map((item) => toJson(item, style, depth + 1)),
      style,
      depth,
    );
  if (!(value instanceof Map)) throw new TemplateError(`Object of type ${typeName(value)} is not JSON serializable`);
  const between = style.separators?.[1] ?? ': ';
  const entries = style.sortKeys ? [...value].sort(([a], [b]) => compare(a, b)) : [...value];
  const inner = entries.map(([key, of]) => `${jsonText(jsonKey(key), style)}${between}${toJson(of, style, depth + 1)}`);
  return brackets('{}', inner, style, depth);
}

const jsonKey = (key: Value): string => (typeof key === 'string' ? key : toJson(key));

const jsonFloat = (value: number): string =>
  Number.isFinite(value) ? floatText(value) : Number.isNaN(value) ? 'NaN' : value > 0 ? 'Infinity' : '-Infinity';

function jsonText(text: string, { ensureAscii }: JsonStyle): string {
  // JSON.stringify also escapes lone surrogates; a row holds none.
  const quoted = JSON.stringify(text);
  if (!ensureAscii) return quoted;
  return quoted.replace(/[\u007f-\uffff]/g, (letter) =>
    letter === '\u007f' ? letter : `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function brackets(pair: string, inner: string[], { indent, separators }: JsonStyle, depth: number): string {
  if (inner.length === 0) return pair;
  if (indent === null) return pair[0] + inner.join(separators?.[0] ?? ', ') + pair[1];
  const line = `\n${indent.repeat(depth + 1)}`;
  const joined = inner.join((separators?.[0] ?? ',') + line);
  return `${pair[0]}${line}${joined}\n${indent.repeat(depth)}${pair[1]}`;
}
