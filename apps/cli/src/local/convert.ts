import path from 'node:path';
import type { Converted } from '@moraine/recipes';
import { type Command, noMoreThan, required } from '../args.js';
import { print } from '../terminal.js';
import { JSON_OPTION, neededPath } from './options.js';

export const convertCommand: Command = {
  name: 'local convert',
  forms: ['FILE --out FILE [--unique] [--skip-bad]'],
  options: {
    out: { type: 'string', value: 'FILE', help: 'A new file for the rows, one a line.' },
    unique: { type: 'boolean', help: 'Leave out rows that repeat an earlier one word for word.' },
    'skip-bad': {
      type: 'boolean',
      help: 'Leave out and count rows that cannot be learned from, instead of ending at the first.',
    },
    json: JSON_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 1, convertCommand);
    const from = path.resolve(required(args, 0, 'the file to convert', convertCommand));
    const out = neededPath(args, 'out', convertCommand);
    const isUnique = args.options.unique === true;
    const { convertFile, refuseNoFile } = await import('@moraine/recipes');
    refuseNoFile(from);
    const converted = await convertFile(from, out, { isUnique, skipsBad: args.options['skip-bad'] === true });
    print(args.options.json === true ? JSON.stringify({ ...converted, out }) : describe(converted, out, isUnique));
    return 0;
  },
};

/** What was done with every row, a sentence a line. */
export function describe(
  { rows, form, how, leftOut, duplicates, skipped }: Converted,
  out: string,
  isUnique: boolean,
): string {
  const kind = form === null ? ', none of another form,' : ` of the form ${form}`;
  const keys = Object.entries(leftOut).map(([key, count]) => `'${key}' (${count} rows)`);
  const { first } = duplicates;
  const repeat = first && `line ${first.line} says what line ${first.of} says`;
  return [
    `${rows} rows${kind} are written to ${out}.`,
    ...(how === null ? [] : [`${how.charAt(0).toUpperCase()}${how.slice(1)}.`]),
    ...(keys.length === 0 ? [] : [`Keys without a place in a row are left out: ${keys.join(', ')}.`]),
    ...(first === null
      ? []
      : [
          `${duplicates.rows} rows repeat an earlier one and are ${isUnique ? 'left out' : 'kept; --unique leaves them out'} (first: ${repeat}).`,
        ]),
    ...(skipped.first === null ? [] : [`${skipped.rows} rows are left out; of the first: ${skipped.first}`]),
  ].join('\n');
}
