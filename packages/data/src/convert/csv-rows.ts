import { LINE_BYTES_MAX } from '../lines.js';
import { readText } from './read-text.js';
import { badFile, type SourceRow } from './source-row.js';

const DELIMITERS = [',', ';', '\t'];

interface Record {
  line: number;
  fields: string[];
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
  const cells = header.map((name, i) => {
    const value = fields[i] ?? '';
    const isJson = (name === 'messages' || name === 'tools' || name === 'conversations') && /^\s*\[/.test(value);
    return `${JSON.stringify(name)}:${isJson ? compact(value, name, line) : JSON.stringify(value)}`;
  });
  return `{${cells.join(',')}}`;
}

function compact(value: string, name: string, line: number): string {
  try {
    JSON.parse(value);
  } catch {
    throw badFile(line, `the column '${name}' holds no JSON.`, 'Write its list as JSON, not as Python shows it.');
  }
  return value.replaceAll(/[\r\n]+/g, ' ');
}

async function* readRecords(file: string): AsyncGenerator<Record> {
  let reader: RecordReader | null = null;
  let head = '';
  for await (const text of readText(file)) {
    let rest = text;
    if (reader === null) {
      head += text;
      if (!/[\r\n]/.test(head) && head.length < LINE_BYTES_MAX) continue;
      reader = new RecordReader(delimiterOf(head));
      rest = head;
    }
    for (const letter of rest) {
      const record = reader.take(letter);
      if (record) yield record;
    }
  }
  reader ??= new RecordReader(',');
  const last = reader.finish();
  if (last) yield last;
}

/** The delimiter that the first line has most. */
function delimiterOf(head: string): string {
  const line = head.split(/[\r\n]/, 1)[0] ?? '';
  const count = (delimiter: string): number => line.split(delimiter).length;
  return DELIMITERS.reduce((best, one) => (count(one) > count(best) ? one : best));
}

class RecordReader {
  private line = 1;
  private recordLine = 1;
  private fields: string[] = [];
  private field = '';
  private size = 0;
  /** In quotation marks; or right behind the mark that may have ended them. */
  private state: 'plain' | 'quoted' | 'behind' = 'plain';
  private isAfterReturn = false;

  constructor(private readonly delimiter: string) {}

  /** Takes the next letter; returns the row that it ends. */
  take(letter: string): Record | null {
    const isSecondEnd = letter === '\n' && this.isAfterReturn && this.state !== 'quoted';
    this.isAfterReturn = letter === '\r';
    if (isSecondEnd) return null;
    if (letter === '\n' || letter === '\r') this.line += letter === '\r' && this.state === 'quoted' ? 0 : 1;
    this.size += letter.length;
    if (this.size > LINE_BYTES_MAX)
      throw badFile(this.recordLine, 'the row is longer than 16 MiB.', 'Is a quotation mark not closed?');
    return this.state === 'quoted' ? this.takeQuoted(letter) : this.takePlain(letter);
  }

  finish(): Record | null {
    if (this.state === 'quoted')
      throw badFile(this.recordLine, 'a quotation mark is not closed.', 'Double the marks that stand inside a field.');
    return this.field === '' && this.fields.length === 0 ? null : this.endRecord();
  }

  private takeQuoted(letter: string): null {
    if (letter === '"') this.state = 'behind';
    else this.field += letter;
    return null;
  }

  private takePlain(letter: string): Record | null {
    if (letter === '"' && this.state === 'behind') {
      this.field += '"';
      this.state = 'quoted';
    } else if (letter === '"' && this.field === '') this.state = 'quoted';
    else if (letter === this.delimiter) this.endField();
    else if (letter === '\n' || letter === '\r') return this.endRecord();
    else this.field += letter;
    return null;
  }

  private endField(): void {
    this.fields.push(this.field);
    this.field = '';
    this.state = 'plain';
  }

  private endRecord(): Record {
    this.endField();
    const record = { line: this.recordLine, fields: this.fields };
    this.fields = [];
    this.size = 0;
    this.recordLine = this.line;
    return record;
  }
}
