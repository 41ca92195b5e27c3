import { readExact } from '../exact-json.js';
import { toJson, type Value } from '../jinja/values.js';

/** A call of a tool as an answer has it. */
export interface ReadCall {
  name: string;
  /** The arguments as a JSON text: an object, with numbers and the order of keys as the answer has them. */
  arguments: string;
}

/** A tool as a request defines it; what is not of this shape says nothing about values. */
export type ToolDefinition = unknown;

/** How the templates of a family of models write calls. */
export interface CallForm {
  name: string;
  /** Texts that calls are written with, which must not be left out where tokens become text. */
  marks: readonly string[];
  /**
   * Where calls begin. Of a text that is not whole: also where its end may be the beginning of one, or white space before it. Its length:
   * nowhere.
   */
  beginOf(text: string, isWhole: boolean): number;
  /** The calls at the start of a text, as many as are complete, and where the last one ends. */
  readCalls(text: string, tools: readonly ToolDefinition[], isWhole: boolean): { calls: ReadCall[]; end: number };
}

/** Where `mark` is; of a text that goes on also where its end may be the beginning of it. */
export function beginOfMark(text: string, mark: string, isWhole: boolean): number {
  const place = text.indexOf(mark);
  if (place >= 0 || isWhole) return place < 0 ? text.length : place;
  for (let length = Math.min(mark.length - 1, text.length); length > 0; length--)
    if (text.endsWith(mark.slice(0, length))) return text.length - length;
  return text.length;
}

/**
 * Calls one behind the other, each between `open` and `close`, with nothing but white space between them. A `close` inside of a call's own
 * texts is passed over: the call does not read without the rest. The last one of a whole text may lack its `close`.
 */
export function readEnclosed(
  text: string,
  { open, close }: { open: string; close: string },
  isWhole: boolean,
  read: (inner: string) => ReadCall | null,
): { calls: ReadCall[]; end: number } {
  const calls: ReadCall[] = [];
  let end = 0;
  for (;;) {
    const begin = skipBlank(text, end);
    if (!text.startsWith(open, begin)) return { calls, end };
    const found = readUntilClose(text, begin + open.length, close, isWhole, read);
    if (found === null) return { calls, end };
    calls.push(found.call);
    end = found.end;
  }
}

function readUntilClose(
  text: string,
  from: number,
  close: string,
  isWhole: boolean,
  read: (inner: string) => ReadCall | null,
): { call: ReadCall; end: number } | null {
  for (let place = text.indexOf(close, from); place >= 0; place = text.indexOf(close, place + 1)) {
    const call = read(text.slice(from, place));
    if (call !== null) return { call, end: place + close.length };
  }
  const call = isWhole ? read(text.slice(from)) : null;
  return call === null ? null : { call, end: text.length };
}

export function skipBlank(text: string, from: number): number {
  let at = from;
  while (/\s/.test(text.charAt(at))) at += 1;
  return at;
}

/** A JSON text with its numbers as written; undefined where it is none. */
export function readJson(text: string): Value | undefined {
  try {
    JSON.parse(text);
    return readExact(text).value;
  } catch {
    return undefined;
  }
}

/** `{"name": …, "arguments": {…}}`, or with `parameters`; null for anything else. */
export function callOf(value: Value | undefined): ReadCall | null {
  if (!(value instanceof Map)) return null;
  const name = value.get('name');
  const given = argumentsOf(value.get('arguments') ?? value.get('parameters') ?? new Map());
  if (typeof name !== 'string' || name === '' || given === null) return null;
  return { name, arguments: given };
}

/** Arguments as a JSON text: of an object, or of a text that holds one; null for anything else. */
function argumentsOf(given: Value): string | null {
  if (given instanceof Map) return toJson(given);
  return typeof given === 'string' && readJson(given) instanceof Map ? given : null;
}
