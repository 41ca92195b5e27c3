import { once } from 'node:events';
import { createReadStream, createWriteStream } from 'node:fs';
import { text } from 'node:stream/consumers';
import { AppError, explain } from '@moraine/contract';
import { convertRow, foreignForm } from './foreign-rows.js';
import { readLines } from './lines.js';
import { isObject, show } from './row-problem.js';

export interface Converted {
  rows: number;
  /** The form that the rows had; null where they were rows of ours already. */
  form: string | null;
}

/**
 * Writes the rows of another tool (ShareGPT, Alpaca, Dolly, question and answer; lines or one JSON list) as rows of ours. Rows of ours
 * stay as they are written.
 * @throws AppError `invalid_file` at the first row that has no place here, `conflict` where `to` exists.
 */
export async function convertFile(from: string, to: string): Promise<Converted> {
  const out = createWriteStream(to, { flags: 'wx' });
  const opened = once(out, 'open').catch((cause: unknown) => {
    throw new AppError('conflict', `${to} cannot be made: ${explain(cause)}.`, { hint: 'Name a new file.', cause });
  });
  await opened;
  let rows = 0;
  let form: string | null = null;
  for await (const { line, written } of rowsOf(from)) {
    const { row, formOf } = convertLine(written, line);
    form ??= formOf;
    rows += 1;
    if (!out.write(`${row}\n`)) await once(out, 'drain');
  }
  out.end();
  await once(out, 'finish');
  return { rows, form };
}

/** The rows as they are written, and their lines or places in the list. */
async function* rowsOf(from: string): AsyncGenerator<{ line: number; written: string }> {
  let number = 0;
  for await (const { number: line, bytes } of readLines(from)) {
    const written = bytes
      .toString('utf8')
      .replace(/^\ufeff/, '')
      .trim();
    if (line === 1 && written.startsWith('[')) return yield* listOf(from);
    if (written !== '') yield { line, written };
    number = line;
  }
  if (number === 0) throw new AppError('invalid_file', `${from} holds no rows.`, { hint: 'Name a file with rows.' });
}

async function* listOf(from: string): AsyncGenerator<{ line: number; written: string }> {
  const list = parse(await text(createReadStream(from)), 1);
  if (!Array.isArray(list)) return;
  for (const [i, row] of list.entries()) yield { line: i + 1, written: JSON.stringify(row) };
}

function parse(written: string, line: number): unknown {
  try {
    return JSON.parse(written.replace(/^\ufeff/, ''));
  } catch (cause) {
    throw new AppError('invalid_file', `Line ${line}: no JSON (${explain(cause)}).`, { param: `line ${line}`, cause });
  }
}

function convertLine(written: string, line: number): { row: string; formOf: string | null } {
  const value = parse(written, line);
  const form = isObject(value) ? foreignForm(value) : null;
  if (form === null) return { row: written, formOf: null };
  const row = convertRow(value);
  if (row !== null) return { row: JSON.stringify(row), formOf: form.name };
  const why =
    form.refusal === null
      ? `a part of ${show(value)} has no place in a row`
      : `rows of the form ${form.name} hold answers ${form.refusal}`;
  throw new AppError('invalid_file', `Line ${line}: ${why}.`, {
    param: `line ${line}`,
    hint: 'Change or drop the row.',
  });
}
