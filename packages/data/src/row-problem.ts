import { nearest } from '@moraine/contract';

/** What is wrong with a row: where (JSON pointer), what came, what to do. */
export interface RowProblem {
  /** JSON pointer of the offending value inside the line, for example `/messages/1/role`; empty for the whole line. */
  key: string;
  code: RowProblemCode;
  message: string;
  hint: string;
}
export type RowProblemCode =
  | 'invalid_json'
  | 'invalid_encoding'
  | 'line_too_long'
  | 'not_an_object'
  | 'unknown_format'
  | 'mixed_formats'
  | 'unknown_key'
  | 'repeated_key'
  | 'missing_key'
  | 'wrong_type'
  | 'invalid_value'
  | 'empty_value'
  | 'no_answer'
  | 'empty_file';

export type Json = Record<string, unknown>;

/** A text of at most `most` units that can be stored and shown anywhere: no NUL, no half of a pair, cut between letters. */
export function cut(text: string, most: number): string {
  const whole = text.replace(LONE_HALF, '\ufffd').replaceAll('\u0000', '\ufffd');
  if (whole.length <= most) return whole;
  return `${whole.slice(0, most - 3).replace(/[\ud800-\udbff]$/, '')}...`;
}

const LONE_HALF = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;

/** Whether a text holds half of a pair: no character, and nothing that UTF-8 can write. */
export const isBroken = (text: string): boolean => text.search(LONE_HALF) >= 0;

/** A value as it stands in the file, cut to a readable length. */
export function show(value: unknown): string {
  return cut(JSON.stringify(value) ?? 'nothing', 60);
}

export const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

export class Refusal extends Error {
  constructor(readonly problem: RowProblem) {
    super(problem.message);
  }
}

export function refuse(key: string, code: RowProblemCode, message: string, hint: string): never {
  throw new Refusal({ key, code, message, hint });
}

/** JSON can escape half of an emoji, in a key as in a text; no tokenizer takes it. */
export function refuseBrokenTexts(value: unknown, at: string): void {
  if (typeof value === 'string') refuseBroken(value, 'text', at);
  if (typeof value !== 'object' || value === null) return;
  for (const [key, of] of Object.entries(value)) {
    const place = `${at}/${cut(key, 60)}`;
    refuseBroken(key, 'key', place);
    refuseBrokenTexts(of, place);
  }
}

function refuseBroken(text: string, what: 'text' | 'key', at: string): void {
  if (!isBroken(text)) return;
  const hint = 'Write the whole emoji, or remove the half: whatever made the file cut a text in the middle of one.';
  refuse(at, 'invalid_value', `The ${what} ${show(text)} holds half of an emoji or other pair.`, hint);
}

export function refuseUnknownKeys(value: Json, known: readonly string[], at: string): void {
  for (const key of Object.keys(value)) {
    if (known.includes(key)) continue;
    const near = nearest(key, known);
    const hint = near ? `Did you mean '${near}'? Otherwise remove it.` : `Remove it. Known here: ${known.join(', ')}.`;
    const named = `Unknown key '${cut(key, 60)}' with the value ${show(value[key])}.`;
    refuse(`${at}/${cut(key, 60)}`, 'unknown_key', named, hint);
  }
}

export function readText(value: Json, key: string, at: string): string {
  const text = value[key];
  if (text === undefined) {
    const near = nearest(key, Object.keys(value));
    const hint = near ? `Did you mean it by '${cut(near, 60)}'?` : `Add "${key}": a text.`;
    refuse(`${at}/${key}`, 'missing_key', `'${key}' is missing.`, hint);
  }
  if (typeof text !== 'string') {
    refuse(`${at}/${key}`, 'wrong_type', `'${key}' is ${show(text)}, not a text.`, 'Put it between quotation marks.');
  }
  return text;
}
