import path from 'node:path';
import { type Arguments, text } from '../args.js';
import { inRepo } from '../paths.js';

/** The last line of the demo: the command that answers, on the rows of the demo, what one run a method cannot. */
export function nextStep(args: Arguments, isUp: boolean): string {
  const data = text(args, 'data');
  const rows = (name: string): string => path.relative(process.cwd(), inRepo('examples', 'tasks', name));
  const where = data === undefined ? '' : ` --data ${quoted(data)}`;
  const command = `npx moraine tune ${rows('record-train.jsonl')} --keep ${rows('source.jsonl')} --budget 30m${where}`;
  const start = isUp ? '' : `npx moraine up${where}, then in another terminal `;
  return `\nWhich method, at which rate, and is it better than the base?  ${start}${command}`;
}

/** As a shell reads it back. */
const quoted = (word: string): string => (/^[\w./:-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);
