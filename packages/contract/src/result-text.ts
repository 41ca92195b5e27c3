/** Forms that results have beside JSON, and their types. */
export const FORMAT_TYPES = { csv: 'text/csv', svg: 'image/svg+xml', md: 'text/markdown' } as const;
export type ResultFormat = keyof typeof FORMAT_TYPES;

export type CsvValue = string | number | boolean | null;

/** RFC 4180, with a first row of names; null is an empty cell. Text that a spreadsheet would compute is written as text. */
export function toCsv(names: readonly string[], rows: readonly (readonly CsvValue[])[]): string {
  return [names, ...rows].map((row) => `${row.map(cell).join(',')}\r\n`).join('');
}

function cell(value: CsvValue): string {
  if (value === null) return '';
  if (typeof value !== 'string') return String(value);
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** A cell ends at a bar that no backslash escapes, and a row at a line break. */
const inRow = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('|', '\\|').replace(/\r?\n/g, ' ');
const row = (cells: readonly string[]): string => `| ${cells.map(inRow).join(' | ')} |`;

export const escapeHtml = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');

/** Text of a user's as a cell of a table in Markdown shows it: letter by letter, line by line. */
export const textCell = (text: string): string => escapeHtml(text).replace(/\r?\n/g, '<br>');

/** Lines of a table in Markdown, and an empty one behind it. */
export const markdownTable = (head: readonly string[], rows: readonly (readonly string[])[]): string[] => [
  row(head),
  row(head.map(() => '---')),
  ...rows.map(row),
  '',
];
