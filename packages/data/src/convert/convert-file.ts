import { open, rm } from 'node:fs/promises';
import { extname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { AppError, explain } from '@moraine/contract';
import { type Duplicates, findDuplicates } from '../duplicates.js';
import { type ExactJson, readExact } from '../exact-json.js';
import { formOfFile, isParquet } from '../file-form.js';
import {
  byKey,
  convertRow,
  type ForeignForm,
  foreignForm,
  isWhole,
  missingKeys,
  OURS,
  writeExact,
} from '../foreign-rows.js';
import { readLines } from '../lines.js';
import type { RowFormat } from '../row.js';
import { isObject, type Json, type RowProblem, show } from '../row-problem.js';
import { parseText } from '../validate-file.js';
import { readCsv } from './csv-rows.js';
import { readItems } from './list-items.js';
import { readText } from './read-text.js';
import { badFile, type SourceRow } from './source-row.js';

/** What a conversion did with every row. */
export interface Converted {
  /** Rows that were written. */
  rows: number;
  /** The form that the rows had; null where they were rows of ours already. */
  form: string | null;
  /** What became of their keys, in words; null where they stay as they are. */
  how: string | null;
  /** Keys that have no place in a row, and of how many rows they were left out. */
  leftOut: Record<string, number>;
  /** Rows that repeat an earlier one: left out where that was asked for. */
  duplicates: Duplicates;
  /** Rows that cannot be learned from, left out because that was asked for, and why the first is. */
  skipped: { rows: number; first: string | null };
}

export interface ConvertOptions {
  /** Leave out rows that repeat an earlier one word for word. */
  isUnique?: boolean;
  /** Leave out, and count, rows that cannot be learned from. Default: the first of them ends the conversion. */
  skipsBad?: boolean;
}

/**
 * Writes the rows of another tool (ShareGPT, Alpaca, Dolly, question and answer) as rows of ours: JSON lines, one JSON list, CSV with a
 * header (`.csv`, `.tsv`), or a Parquet table. Rows of ours stay as they are written. Every row is checked as an upload checks it; `to` appears whole or not at all.
 * @throws AppError `invalid_file` at the first row that has no place here, `conflict` where `to` exists.
 */
export async function convertFile(from: string, to: string, options: ConvertOptions = {}): Promise<Converted> {
  const out = await open(to, 'wx').catch((cause: unknown) => {
    throw new AppError('conflict', `${to} cannot be made: ${explain(cause)}.`, { hint: 'Name a new file.', cause });
  });
  try {
    const converter = new Converter(options);
    await pipeline(converter.convertAll(rowsOf(from)), out.createWriteStream());
    return converter.finish(from);
  } catch (error) {
    await rm(to, { force: true });
    throw error;
  }
}

/** The rows as they are written, and their lines. */
async function* rowsOf(from: string): AsyncGenerator<SourceRow> {
  const problem = await formOfFile(from);
  if (isParquet(problem)) return yield* (await import('./parquet-rows.js')).readParquet(from);
  if (problem !== null) throw badFile(1, problem.message, problem.hint);
  if (/^\.(csv|tsv)$/i.test(extname(from))) return yield* readCsv(from);
  yield* (await isList(from)) ? readItems(from) : readWritten(from);
}

/** Whether the first letter of a file begins a list. */
async function isList(file: string): Promise<boolean> {
  for await (const text of readText(file)) {
    const [first] = text.trimStart();
    if (first !== undefined) return first === '[';
  }
  return false;
}

const decoder = new TextDecoder('utf-8', { fatal: true });

async function* readWritten(file: string): AsyncGenerator<SourceRow> {
  for await (const { number: line, bytes, isTooLong } of readLines(file)) {
    if (isTooLong)
      throw badFile(line, 'the line is longer than 16 MiB.', 'Write one object a line, or one list of them.');
    const written = decodeLine(bytes, line).trim();
    if (written !== '') yield { line, written };
  }
}

function decodeLine(bytes: Buffer, line: number): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw badFile(line, 'the line holds bytes that are not UTF-8.', 'Save the file as UTF-8.');
  }
}

class Converter {
  private rows = 0;
  private form: ForeignForm | null = null;
  private how: string | null = null;
  private format: RowFormat | undefined;
  private readonly leftOut: Record<string, number> = {};
  private readonly skipped: Converted['skipped'] = { rows: 0, first: null };
  private readonly duplicates = findDuplicates();

  constructor(private readonly options: ConvertOptions) {}

  /** The lines of the new file. */
  async *convertAll(sources: AsyncIterable<SourceRow>): AsyncGenerator<string> {
    for await (const source of sources) {
      const row = this.take(source);
      if (row !== null) yield `${row}\n`;
    }
  }

  /** The row as it is to be written; null where it is left out. */
  private take(source: SourceRow): string | null {
    try {
      return this.convert(source);
    } catch (error) {
      if (!this.options.skipsBad || !(error instanceof AppError)) throw error;
      this.skipped.rows += 1;
      this.skipped.first ??= explain(error);
      return null;
    }
  }

  finish(from: string): Converted {
    const { rows, form, how, leftOut, skipped } = this;
    if (rows === 0) {
      const why = skipped.first ?? 'There are none.';
      throw new AppError('invalid_file', `${from} holds no rows to learn from. ${why}`, {
        hint: 'Name a file with rows.',
      });
    }
    return { rows, form: form?.name ?? null, how, leftOut, duplicates: this.duplicates.found(), skipped };
  }

  private convert(source: SourceRow): string | null {
    const { line } = source;
    const value = readRow(source);
    const { text, leftOut, form, how } = convertText(value, source);
    const read = parseText(text, this.format);
    if ('problem' in read) throw this.refusal(line, value, read.problem);
    const { row } = read;
    if (this.duplicates.see(line, row) !== null && this.options.isUnique) return null;
    this.format ??= row.format;
    this.form ??= form;
    this.how ??= how;
    for (const key of leftOut) this.leftOut[key] = (this.leftOut[key] ?? 0) + 1;
    this.rows += 1;
    return text;
  }

  /** Why the row cannot be written; one that is no whole row of the file's form is named as such, not by what is left of it. */
  private refusal(line: number, value: unknown, { code, key, message, hint }: RowProblem): AppError {
    const isOtherForm = code === 'mixed_formats' || code === 'unknown_format';
    if (isOtherForm && this.form !== null && isObject(value) && this.form.needs.some((need) => need in value)) {
      const missing = missingKeys(this.form.needs, value);
      if (missing.length > 0) return incomplete(line, this.form, missing);
    }
    return badFile(line, `${key === '' ? '' : `${key}: `}${message}`, hint);
  }
}

function incomplete(line: number, { name }: ForeignForm, missing: readonly string[]): AppError {
  const keys = missing.map((key) => `'${key}'`).join(' and ');
  return badFile(
    line,
    `/${missing[0]}: This is a row of the form ${name} without ${keys}.`,
    'Write what is missing, drop the row, or have such rows left out with --skip-bad.',
  );
}

/** A row by its keys, those that are null among them. */
function readRow({ line, written, nulls = [] }: SourceRow): unknown {
  const value = byKey(parse(written, line));
  return isObject(value) && nulls.length > 0
    ? { ...value, ...Object.fromEntries(nulls.map((key) => [key, null])) }
    : value;
}

interface ConvertedText {
  text: string;
  leftOut: string[];
  form: ForeignForm | null;
  how: string | null;
}

function convertText(value: unknown, source: SourceRow): ConvertedText {
  const { line, written } = source;
  const form = isObject(value) ? foreignForm(value) : null;
  if (!isObject(value) || form === null) return { ...keepOurs(value, source), form: null, how: null };
  const converted = convertRow(value);
  if (converted !== null) {
    const { text, used, how } = converted;
    return { text, leftOut: keysWithout(value, used, source), form, how };
  }
  const missing = missingKeys(form.needs, value);
  if (form.refusal === null && missing.length > 0) throw incomplete(line, form, missing);
  const why =
    form.refusal === null
      ? `a part of ${show(JSON.parse(written))} has no place in a row.`
      : `rows of the form ${form.name} hold answers ${form.refusal}`;
  throw badFile(line, why, 'Change or drop the row, or have such rows left out with --skip-bad.');
}

/** A row of ours that has keys beside its own is written without them. */
function keepOurs(value: unknown, source: SourceRow): Pick<ConvertedText, 'text' | 'leftOut'> {
  const { written, nulls = [] } = source;
  const ours = isObject(value) ? oursOf(value, nulls) : undefined;
  if (!isObject(value) || ours === undefined) return { text: written, leftOut: [] };
  const leftOut = keysWithout(value, ours.keys, source);
  if (leftOut.length === 0) return { text: written, leftOut };
  const kept = Object.fromEntries(
    Object.entries(value).filter(([key]) => !leftOut.includes(key) && !nulls.includes(key)),
  );
  return { text: writeExact(kept), leftOut };
}

/** Which of our forms a row has: the first that is whole, else the first whose first key is written. */
const oursOf = (value: Json, nulls: readonly string[]): (typeof OURS)[number] | undefined =>
  OURS.find(({ needs }) => isWhole(needs, value)) ??
  OURS.find(({ needs: [first] }) => first in value && !nulls.includes(first));

/** The keys that are written and have no place. */
const keysWithout = (value: Json, used: readonly string[], { nulls = [] }: SourceRow): string[] =>
  Object.keys(value).filter((key) => !used.includes(key) && !nulls.includes(key));

/** Numbers and the order of keys as they are written. */
function parse(written: string, line: number): unknown {
  try {
    JSON.parse(written);
  } catch (cause) {
    throw badFile(line, `no JSON (${explain(cause)}).`, 'Write one JSON object a line, or one list of them.');
  }
  const { value, repeated } = readAll(written, line);
  if (repeated === null) return value;
  const key = show(repeated.split('/').at(-1));
  throw badFile(line, `${repeated}: The key ${key} stands twice in one object.`, 'Keep one of them.');
}

function readAll(written: string, line: number): ExactJson {
  try {
    return readExact(written);
  } catch (cause) {
    throw badFile(line, `${explain(cause)}.`, 'Write it flatter, or as a text.');
  }
}
