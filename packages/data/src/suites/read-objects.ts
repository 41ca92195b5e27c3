import { readFile, stat } from 'node:fs/promises';
import { gunzipSync } from 'node:zlib';
import { AppError, explain } from '@moraine/contract';
import { cut, isObject, type Json } from '../row-problem.js';

/** A row with its place in the file: `Line 3`, `Row 3` of a list, or its key. */
export interface PlacedRow {
  place: string;
  row: Json;
}

/** A file with rows of a suite is read whole; the largest of the known ones has 40 MB. */
const BYTES_MAX = 256 * 1024 * 1024;

/**
 * The rows of a suite's file: JSON Lines, a JSON list, or an object of rows by their ids, each also packed by gzip.
 * @throws AppError `invalid_file` naming the line.
 */
export async function readObjects(file: string): Promise<PlacedRow[]> {
  const text = await readWhole(file);
  const first = text.trimStart().split('\n', 1)[0] ?? '';
  const rows = isObject(parsed(first)) && !isOneObject(text) ? linesOf(text) : wholeOf(text);
  if (rows.length > 0) return rows;
  throw invalid('The file holds no rows.', 'line 1', 'Write one JSON object a line.');
}

async function readWhole(file: string): Promise<string> {
  if ((await stat(file)).size > BYTES_MAX) throw tooLarge();
  const bytes = await readFile(file);
  try {
    const isPacked = bytes[0] === 0x1f && bytes[1] === 0x8b;
    const plain = isPacked ? gunzipSync(bytes, { maxOutputLength: BYTES_MAX }) : bytes;
    return new TextDecoder('utf-8', { fatal: true }).decode(plain);
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge();
    throw invalid(`The file cannot be read: ${explain(cause)}.`, 'line 1', 'Save it as JSON Lines in UTF-8.', cause);
  }
}

const tooLarge = (): AppError =>
  invalid(`The file is larger than ${BYTES_MAX / 2 ** 20} MiB.`, 'line 1', 'Take a part of its rows.');

/** Whether the only line is an object of rows by their ids. */
function isOneObject(text: string): boolean {
  if (text.trim().includes('\n')) return false;
  const value = parsed(text);
  return isObject(value) && Object.keys(value).length > 0 && Object.values(value).every(isObject);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function linesOf(text: string): PlacedRow[] {
  const rows: PlacedRow[] = [];
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    const place = `Line ${i + 1}`;
    rows.push({ place, row: rowOf(parseLine(line, place), place) });
  }
  return rows;
}

function parseLine(line: string, place: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    const problem = `${place}: no JSON (${explain(cause)}); it begins ${JSON.stringify(cut(line.trim(), 60))}.`;
    throw invalid(problem, place.toLowerCase(), 'Write one complete JSON object a line.', cause);
  }
}

function wholeOf(text: string): PlacedRow[] {
  if (text.trim() === '') return [];
  const value = parseLine(text, 'Line 1');
  if (Array.isArray(value)) return value.map((row, i) => placed(`Row ${i + 1}`, row));
  if (isObject(value)) return Object.entries(value).map(([key, row]) => placed(`Row ${key}`, withId(key, row)));
  throw invalid('The file holds neither objects nor a list of them.', 'line 1', 'Write one JSON object a line.');
}

const withId = (id: string, row: unknown): unknown => (isObject(row) ? { id, ...row } : row);

const placed = (place: string, row: unknown): PlacedRow => ({ place, row: rowOf(row, place) });

function rowOf(value: unknown, place: string): Json {
  if (isObject(value)) return value;
  throw invalid(`${place}: not an object.`, place.toLowerCase(), 'A row is an object: {"…": …}.');
}

export const invalid = (message: string, param: string, hint: string, cause?: unknown): AppError =>
  new AppError('invalid_file', message, { param, hint, ...(cause === undefined ? {} : { cause }) });
