import { AppError, explain, isOfMany, VALUES_MAX } from '@moraine/contract';
import { type Duplicates, findDuplicates } from './duplicates.js';
import { type ExactJson, readExact } from './exact-json.js';
import { formOfFile } from './file-form.js';
import { LINE_BYTES_MAX, type Line, readLines } from './lines.js';
import { parseRow } from './parse-row.js';
import { type Row, type RowFormat, rowCharacters } from './row.js';
import { cut, type RowProblem } from './row-problem.js';

/** A problem with its line number, from 1. */
export interface FileProblem extends RowProblem {
  line: number;
}

export interface FileStats {
  /** Valid rows. */
  rows: number;
  /** Characters that the model reads and writes, over all valid rows. */
  characters: number;
  longestRowCharacters: number;
}

export interface FileReport {
  /** Rows read without a problem. */
  rows: number;
  /** Null when no row was valid. */
  format: RowFormat | null;
  /** At most as many as were asked for; reading stops there. Empty: the file is good. */
  errors: FileProblem[];
  duplicates: Duplicates;
  /** The rest of the file was not read. */
  isPartial: boolean;
  stats: FileStats;
}

/** Validation stops after this many problems, unless more are asked for. */
export const PROBLEMS_MAX = 20;

type ReadLine = { line: number; bytes: Buffer; row: Row } | { line: number; problem: RowProblem };

const decoder = new TextDecoder('utf-8', { fatal: true });

function parseLine({ number, bytes, isTooLong }: Line, expected: RowFormat | undefined): ReadLine | null {
  const refuse = (problem: RowProblem): ReadLine => ({ line: number, problem });
  if (isTooLong) {
    const limit = `${LINE_BYTES_MAX / 1024 / 1024} MiB`;
    return refuse({
      key: '',
      code: 'line_too_long',
      message: `The line is longer than ${limit}.`,
      hint: 'Each row is a line of its own: is this JSON Lines?',
    });
  }
  if (bytes.includes(0)) return refuse(nulProblem(bytes));
  let text: string;
  try {
    text = decoder.decode(bytes); // drops a byte order mark
  } catch {
    const message = 'The line holds bytes that are not UTF-8.';
    return refuse({ key: '', code: 'invalid_encoding', message, hint: 'Save the file as UTF-8.' });
  }
  return text.trim() === '' ? null : { line: number, bytes, ...parseText(text, expected) };
}

function nulProblem(bytes: Uint8Array): RowProblem {
  const count = bytes.reduce((sum, byte) => sum + Number(byte === 0), 0);
  return {
    key: '',
    code: 'invalid_encoding',
    message: `The line holds ${count} NUL bytes.`,
    hint: 'A crash or a broken copy leaves them where text was not written: cut them off, and look whether rows are missing.',
  };
}

/** Reads one line that is not blank. */
export function parseText(text: string, expected: RowFormat | undefined): { row: Row } | { problem: RowProblem } {
  if (isOfMany(text)) {
    const message = `The line holds more than ${VALUES_MAX} values.`;
    return { problem: { key: '', code: 'invalid_value', message, hint: 'Each row is a line of its own.' } };
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { problem: noJson(text, error) };
  }
  let exact: ExactJson;
  try {
    exact = readExact(text);
  } catch (error) {
    const hint = 'Write it flatter, or as a text.';
    return { problem: { key: '', code: 'invalid_value', message: `${explain(error)}.`, hint } };
  }
  const { repeated } = exact;
  if (repeated !== null) {
    const message = `The key ${cut(JSON.stringify(repeated.split('/').at(-1)), 60)} stands twice in one object; only one value could be read.`;
    return { problem: { key: cut(repeated, 200), code: 'repeated_key', message, hint: 'Keep one of them.' } };
  }
  return parseRow(value, { expected, exact: exact.value });
}

function noJson(text: string, error: unknown): RowProblem {
  const start = text.trim();
  const message = `The line is no JSON (${cut(explain(error), 200)}); it begins ${JSON.stringify(cut(start, 60))}.`;
  const hint = start.startsWith('[')
    ? 'The file looks like one JSON list: npx moraine local convert FILE --out rows.jsonl writes each of its objects on a line of its own.'
    : 'Write one complete JSON object a line; line breaks inside texts are \\n.';
  return { key: '', code: 'invalid_json', message, hint };
}

async function* readFileRows(file: string): AsyncGenerator<ReadLine> {
  const problem = await formOfFile(file);
  if (problem !== null) {
    yield { line: 1, problem };
    return;
  }
  let format: RowFormat | undefined;
  for await (const line of readLines(file)) {
    const read = parseLine(line, format);
    if (read === null) continue;
    if ('row' in read) format ??= read.row.format;
    yield read;
  }
}

/**
 * Reads a JSONL training file of any size, line by line: chat, prompt/completion or text rows, one format a file. Blank lines, a byte
 * order mark and CRLF are fine. Each problem names line, JSON pointer, the value and what to do; after `problemsMax` reading stops.
 */
export async function validateFile(file: string, problemsMax = PROBLEMS_MAX): Promise<FileReport> {
  const errors: FileProblem[] = [];
  const stats: FileStats = { rows: 0, characters: 0, longestRowCharacters: 0 };
  const duplicates = findDuplicates();
  let format: RowFormat | null = null;
  let isPartial = false;
  for await (const read of readFileRows(file)) {
    if ('problem' in read) {
      errors.push({ line: read.line, ...read.problem });
      isPartial = errors.length >= problemsMax;
      if (isPartial) break;
      continue;
    }
    format ??= read.row.format;
    duplicates.see(read.line, read.row);
    const characters = rowCharacters(read.row);
    stats.rows += 1;
    stats.characters += characters;
    stats.longestRowCharacters = Math.max(stats.longestRowCharacters, characters);
  }
  if (stats.rows === 0 && errors.length === 0) {
    const hint = 'Write one JSON object a line.';
    errors.push({ line: 1, key: '', code: 'empty_file', message: 'The file holds no rows.', hint });
  }
  return { rows: stats.rows, format, errors, duplicates: duplicates.found(), isPartial, stats };
}

/** A problem as one sentence with its place: for events, logs and `status_details`. */
export function describeProblem(problem: FileProblem): string {
  const place = problem.key === '' ? `Line ${problem.line}` : `Line ${problem.line}, ${problem.key}`;
  return `${place}: ${problem.message} ${problem.hint}`;
}

/**
 * Streams the rows of a file with their line numbers and as they are written (without the line's end).
 * @throws AppError `invalid_file` at the first bad line.
 */
export async function* readRows(file: string): AsyncGenerator<{ line: number; bytes: Buffer; row: Row }> {
  for await (const read of readFileRows(file)) {
    if ('problem' in read) {
      const problem = { line: read.line, ...read.problem };
      throw new AppError('invalid_file', `Line ${problem.line}: ${problem.message}`, {
        param: `line ${problem.line}${problem.key}`,
        hint: problem.hint,
      });
    }
    yield read;
  }
}
