import { pipeline, Readable } from 'node:stream';
import type { AppError } from '@moraine/contract';
import { CsvError, parse } from 'csv-parse';
import { LINE_BYTES_MAX } from '../lines.js';
import { jsonCell } from './json-cell.js';
import { readText } from './read-text.js';
import { badFile, type SourceRow } from './source-row.js';

const DELIMITERS = [',', ';', '\t'];

interface Record {
  line: number;
  fields: string[];
}

/** What the parser gives: a row, and the number of the line that it ends on. */
interface Parsed {
  record: string[];
  info: { lines: number };
}

/**
 * Streams the rows of a CSV file with a header as objects of its columns (RFC 4180: quotes, doubled quotes and line breaks in them; the
 * comma, the semicolon or the tab, whichever the header has most). A column `messages` or `tools` holds JSON.
 * @throws AppError `invalid_file` for a row that has not as many fields as the header, or a quote that does not end.
 */
export async function* readCsv(file: string): AsyncGenerator<SourceRow> {
  let header: string[] | null = null;
  for await (const { line, fields } of readRecords(file)) {
    if (fields.length === 1 && fields[0] === '') continue;
    if (header === null) {
      header = checkHeader(fields);
      continue;
    }
    if (fields.length !== header.length) {
      throw badFile(
        line,
        `the row has ${fields.length} fields, the header ${header.length}.`,
        'Put fields that hold the delimiter or a line break between quotation marks, and double those inside.',
      );
    }
    yield { line, written: toJson(header, fields, line) };
  }
}

function checkHeader(fields: string[]): string[] {
  const names = fields.map((name) => name.trim());
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice === undefined) return names;
  throw badFile(1, `two columns are called '${twice}'.`, 'Rename one of them; the first line names the columns.');
}

function toJson(header: readonly string[], fields: readonly string[], line: number): string {
  const cells = header.map((name, i) => `${JSON.stringify(name)}:${jsonCell(name, fields[i] ?? '', line)}`);
  return `{${cells.join(',')}}`;
}

async function* readRecords(file: string): AsyncGenerator<Record> {
  const text = readText(file);
  const head = await readHead(text);
  const parser = parse({
    delimiter: delimiterOf(head),
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    relax_quotes: true,
    max_record_size: LINE_BYTES_MAX,
    info: true,
  });
  pipeline(Readable.from(chain(head, text)), parser, () => undefined); // what goes wrong comes out of the parser
  let line = 1;
  try {
    for await (const { record, info } of parser as AsyncIterable<Parsed>) {
      yield { line, fields: record };
      line = info.lines + 1;
    }
  } catch (cause) {
    if (cause instanceof CsvError) throw refused(cause, line);
    throw cause;
  }
}

/** The beginning of a text, a whole line of it where that is not longer than a row may be. */
async function readHead(text: AsyncGenerator<string>): Promise<string> {
  let head = '';
  while (!/[\r\n]/.test(head) && head.length < LINE_BYTES_MAX) {
    const { value, done } = await text.next();
    if (done) break;
    head += value;
  }
  return head;
}

async function* chain(head: string, text: AsyncGenerator<string>): AsyncGenerator<string> {
  yield head;
  yield* text;
}

function refused(cause: CsvError, line: number): AppError {
  if (cause.code === 'CSV_MAX_RECORD_SIZE')
    return badFile(line, 'the row is longer than 16 MiB.', 'Is a quotation mark not closed?');
  if (cause.code === 'CSV_QUOTE_NOT_CLOSED')
    return badFile(line, 'a quotation mark is not closed.', 'Double the marks that stand inside a field.');
  return badFile(line, `${cause.message}.`, 'Write the file as RFC 4180 has it.');
}

/** The delimiter that the first line has most. */
function delimiterOf(head: string): string {
  const line = head.split(/[\r\n]/, 1)[0] ?? '';
  const count = (delimiter: string): number => line.split(delimiter).length;
  return DELIMITERS.reduce((best, one) => (count(one) > count(best) ? one : best));
}
