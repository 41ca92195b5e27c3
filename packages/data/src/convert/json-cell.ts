import { badFile } from './source-row.js';

/** Columns that hold lists, which tables of texts write as JSON. */
const LISTS = ['messages', 'tools', 'conversations'];

/** The text of a cell as JSON: itself where it is one, else a string. */
export const jsonCell = (name: string, value: string, line: number): string =>
  LISTS.includes(name) && /^\s*\[/.test(value) ? compact(value, name, line) : JSON.stringify(value);

function compact(value: string, name: string, line: number): string {
  try {
    JSON.parse(value);
  } catch {
    throw badFile(line, `the column '${name}' holds no JSON.`, 'Write its list as JSON, not as Python shows it.');
  }
  return value.replaceAll(/[\r\n]+/g, ' ');
}
