import path from 'node:path';
import { type Command, noMoreThan, required } from '../args.js';
import { print } from '../terminal.js';
import { JSON_OPTION, neededPath } from './options.js';

export const convertCommand: Command = {
  name: 'local convert',
  forms: ['FILE --out FILE'],
  options: {
    out: { type: 'string', value: 'FILE', help: 'A new file for the rows, one a line.' },
    json: JSON_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 1, convertCommand);
    const from = path.resolve(required(args, 0, 'the file to convert', convertCommand));
    const out = neededPath(args, 'out', convertCommand);
    const { convertFile, refuseNoFile } = await import('@moraine/recipes');
    refuseNoFile(from);
    const { rows, form } = await convertFile(from, out);
    if (args.options.json === true) print(JSON.stringify({ rows, form, out }));
    else
      print(`${rows} rows${form === null ? ', none of another form,' : ` of the form ${form}`} are written to ${out}.`);
    return 0;
  },
};
