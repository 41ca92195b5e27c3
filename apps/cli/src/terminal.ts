import { styleText } from 'node:util';
import { noColour } from './env.js';

type Style = Parameters<typeof styleText>[0];

/** Lines on standard output; colour only where a person looks. */
export const isTerminal = (): boolean => process.stdout.isTTY === true;

export const print = (line = ''): void => {
  process.stdout.write(`${line}\n`);
};

export const printError = (line: string): void => {
  process.stderr.write(`${line}\n`);
};

export const isColoured = (): boolean => isTerminal() && !noColour();

export const paint = (style: Style, words: string): string => (isColoured() ? styleText(style, words) : words);

// biome-ignore lint/suspicious/noControlCharactersInRegex: terminal colours are control characters
const COLOURS = /\u001b\[[0-9;]*m/g;

/** Length on the screen: colours take no room. */
export const widthOf = (words: string): number => words.replaceAll(COLOURS, '').length;

export interface Column {
  title: string;
  align?: 'left' | 'right';
}

/** Rows in columns, as wide as they need, with a rule under the titles. */
export function table(columns: Column[], rows: string[][]): string {
  const widths = columns.map(({ title }, i) => Math.max(widthOf(title), ...rows.map((row) => widthOf(row[i] ?? ''))));
  const line = (cells: string[]): string =>
    columns
      .map(({ align }, i) => {
        const cell = cells[i] ?? '';
        const gap = ' '.repeat((widths[i] ?? 0) - widthOf(cell));
        return align === 'right' ? gap + cell : cell + gap;
      })
      .join('  ')
      .trimEnd();
  const titles = paint('bold', line(columns.map(({ title }) => title)));
  const rule = paint('dim', widths.map((width) => '─'.repeat(width)).join('  '));
  return [titles, rule, ...rows.map(line)].join('\n');
}

/** Rows of a label and what it stands for; a row without a value is left out. */
export function labelled(rows: [string, string | null][]): string {
  const width = Math.max(...rows.map(([label]) => label.length));
  return rows.flatMap(([label, value]) => (value ? `${paint('bold', label.padEnd(width))}  ${value}` : [])).join('\n');
}

export const bytes = (n: number): string => {
  const units = ['B', 'KB', 'MB', 'GB', 'TB'];
  const at = n < 1 ? 0 : Math.min(units.length - 1, Math.floor(Math.log10(n) / 3));
  return `${(n / 1000 ** at).toFixed(at === 0 ? 0 : 1)} ${units[at]}`;
};

export const duration = (seconds: number): string => {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${Math.floor(whole / 3600)} h ${String(Math.floor((whole % 3600) / 60)).padStart(2, '0')} min`;
};
