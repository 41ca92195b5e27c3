import { cut, isObject, type Json, refuse, show } from '../row-problem.js';

// Columns of a row; each refusal names the column, what came and what to do.

export function textOf(row: Json, key: string): string {
  const value = row[key];
  if (typeof value === 'string') return value;
  if (value === undefined) return missing(key, 'a text');
  return refuse(`/${key}`, 'wrong_type', `'${key}' is ${show(value)}, not a text.`, 'Put it between quotation marks.');
}

/** A text that says something. */
export function wordsOf(row: Json, key: string): string {
  const text = textOf(row, key);
  if (text.trim() !== '') return text;
  return refuse(`/${key}`, 'empty_value', `'${key}' is empty.`, 'Write it, or leave the row out.');
}

/** An answer: a text or a number. */
export const answerOf = (row: Json, key: string): string =>
  typeof row[key] === 'number' ? String(row[key]) : wordsOf(row, key);

export function textsOf(row: Json, key: string, least = 1): string[] {
  const value = row[key];
  if (value === undefined) return missing(key, 'a list of texts');
  if (!Array.isArray(value) || value.some((text) => typeof text !== 'string'))
    return refuse(`/${key}`, 'wrong_type', `'${key}' is ${show(value)}, not a list of texts.`, 'Write ["…", "…"].');
  if (value.length < least)
    return refuse(`/${key}`, 'empty_value', `'${key}' has ${value.length} texts; ${least} are needed.`, 'Add them.');
  const empty = value.indexOf('');
  if (empty >= 0)
    return refuse(`/${key}/${empty}`, 'empty_value', `'${key}' has an empty text.`, 'An empty choice has no score.');
  return value as string[];
}

export function objectOf(row: Json, key: string): Json {
  const value = row[key];
  if (isObject(value)) return value;
  if (value === undefined) return missing(key, 'an object');
  return refuse(`/${key}`, 'wrong_type', `'${key}' is ${show(value)}, not an object.`, 'Write it as {…}.');
}

/** The right one of some choices: its place from 0, as a number or in digits, or its label. */
export function goldOf(row: Json, key: string, labels: readonly string[]): number {
  const value = row[key];
  if (value === undefined) missing(key, 'which choice is right');
  const named = typeof value === 'string' ? labels.indexOf(value) : -1;
  const place = named >= 0 ? named : typeof value === 'string' && /^\d+$/.test(value) ? Number(value) : value;
  if (Number.isInteger(place) && (place as number) >= 0 && (place as number) < labels.length) return place as number;
  const known = cut(labels.join(', '), 80);
  const hint =
    value === '' ? 'Splits for a leaderboard have no labels: take the validation split.' : `Give one of ${known}.`;
  return refuse(`/${key}`, 'invalid_value', `'${key}' is ${show(value)}, none of the ${labels.length} choices.`, hint);
}

/** The row's own id. */
export function idOf(row: Json, ...keys: string[]): string | undefined {
  for (const key of keys) {
    const value = row[key];
    if (typeof value === 'string' && value !== '') return value;
    if (typeof value === 'number') return String(value);
  }
  return undefined;
}

function missing(key: string, what: string): never {
  return refuse(`/${key}`, 'missing_key', `'${key}' is missing.`, `Add "${key}": ${what}.`);
}

/** One of the shapes that rows of a suite come in. */
export interface RowForm<T> {
  /** The columns by which it is known. */
  keys: readonly string[];
  read: (row: Json) => T;
}

/** Reads a row by the first form whose columns it has; of none, those of the form that is nearest are named. */
export function readByForm<T>(row: Json, forms: readonly RowForm<T>[]): T {
  const found = forms.find(({ keys }) => keys.every((key) => key in row));
  if (found !== undefined) return found.read(row);
  const lacking = ({ keys }: RowForm<T>) => keys.filter((key) => !(key in row));
  const shown = forms.map(({ keys }) => keys.join(', ')).join('; or ');
  const nearest = forms.reduce((best, form) => (lacking(form).length < lacking(best).length ? form : best));
  const [first = ''] = lacking(nearest);
  const has = Object.keys(row).join(', ') || 'none';
  return refuse(
    `/${first}`,
    'missing_key',
    `'${first}' is missing; the row has ${cut(has, 80)}.`,
    `Columns: ${shown}.`,
  );
}
