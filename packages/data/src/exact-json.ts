import { Float, type Value } from './jinja/values.js';

/** A JSON text with numbers as they are written and keys in their order, and the first key that an object holds twice. */
export interface ExactJson {
  value: Value;
  /** JSON pointer of the first repeated key; null where there is none. */
  repeated: string | null;
}

/** Deeper values are refused: a reader that follows them would run out of stack. */
export const DEPTH_MAX = 200;

/**
 * Reads a text that `JSON.parse` takes. JSON.parse itself rounds long numbers, drops the point of `1.0` and sorts keys that are
 * numbers; libraries that keep numbers put them into plain objects, which sort too.
 * @throws RangeError where values are nested deeper than DEPTH_MAX.
 */
export function readExact(text: string): ExactJson {
  const reader = new Reader(text);
  return { value: reader.value('', 0), repeated: reader.repeated };
}

/** The same value as `JSON.parse` reads it: its numbers are floats, its keys those of plain objects. */
export function toPlain(value: unknown): unknown {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Float) return value.value;
  if (Array.isArray(value)) return value.map(toPlain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([key, of]) => [key, toPlain(of)]));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, of]) => [key, toPlain(of)]));
}

const escapePointer = (key: string): string => key.replaceAll('~', '~0').replaceAll('/', '~1');

class Reader {
  repeated: string | null = null;
  private at = 0;
  constructor(private readonly text: string) {}

  value(pointer: string, depth: number): Value {
    if (depth > DEPTH_MAX) throw new RangeError(`${pointer.slice(0, 60)}… is nested deeper than ${DEPTH_MAX}`);
    switch (this.next()) {
      case '{':
        return this.object(pointer, depth);
      case '[':
        return this.list(pointer, depth);
      case '"':
        return this.string();
      default:
        return this.word();
    }
  }

  /** The next letter that is no white space. */
  private next(): string {
    while (' \t\n\r'.includes(this.text.charAt(this.at))) this.at += 1;
    return this.text.charAt(this.at);
  }

  private object(pointer: string, depth: number): Value {
    const object = new Map<Value, Value>();
    this.at += 1;
    while (this.next() !== '}') {
      if (this.text.charAt(this.at) === ',') {
        this.at += 1;
        this.next();
      }
      const key = this.string();
      const of = `${pointer}/${escapePointer(key)}`;
      if (object.has(key)) this.repeated ??= of;
      this.next();
      this.at += 1; // the colon
      object.set(key, this.value(of, depth + 1));
    }
    this.at += 1;
    return object;
  }

  private list(pointer: string, depth: number): Value {
    const items: Value[] = [];
    this.at += 1;
    while (this.next() !== ']') {
      if (this.text.charAt(this.at) === ',') this.at += 1;
      items.push(this.value(`${pointer}/${items.length}`, depth + 1));
    }
    this.at += 1;
    return items;
  }

  private string(): string {
    const from = this.at;
    let end = this.text.indexOf('"', from + 1);
    while (this.isEscaped(end)) end = this.text.indexOf('"', end + 1);
    this.at = end + 1;
    const inner = this.text.slice(from + 1, end);
    return inner.includes('\\') ? (JSON.parse(this.text.slice(from, end + 1)) as string) : inner;
  }

  /** Whether an odd number of backslashes stands before a place. */
  private isEscaped(at: number): boolean {
    let from = at;
    while (this.text.charAt(from - 1) === '\\') from -= 1;
    return (at - from) % 2 === 1;
  }

  private word(): Value {
    const from = this.at;
    while (this.at < this.text.length && !',]} \t\n\r'.includes(this.text.charAt(this.at))) this.at += 1;
    const word = this.text.slice(from, this.at);
    if (word === 'true' || word === 'false') return word === 'true';
    if (word === 'null') return null;
    return /[.eE]/.test(word) ? new Float(Number(word), word) : word === '-0' ? new Float(-0, word) : BigInt(word);
  }
}
