import { type Command, DATA_OPTION, integer, noMoreThan, required, text } from '../args.js';
import { isSet } from '../env.js';
import { dataDirFor } from '../paths.js';
import { programSettings, runProgram } from '../run-program.js';

const PORT = 7314;

export const serveCommand: Command = {
  name: 'serve',
  forms: ['BASE [--host ADDRESS] [--port N] [--rows N] [--data DIR]'],
  options: {
    host: {
      type: 'string',
      value: 'ADDRESS',
      help: 'Address of this machine to listen on, by which the API reaches it; default 127.0.0.1. 0.0.0.0: every network, reached by the name of this machine or MORAINE_SERVE_ADDRESS.',
    },
    port: { type: 'string', value: 'N', help: `Port to listen on; default ${PORT}, 0 for a free one.` },
    rows: { type: 'string', value: 'N', help: 'Answers that are written side by side; default 8.' },
    data: DATA_OPTION,
  },
  run: async (args) => {
    const base = required(args, 0, 'The name or hash of a base', serveCommand);
    noMoreThan(args, 1, serveCommand);
    const port = integer(args, 'port', 0, 65_535) ?? (isSet('MORAINE_SERVE_PORT') ? undefined : PORT);
    const given = {
      MORAINE_SERVE_BASE: base,
      MORAINE_SERVE_HOST: text(args, 'host'),
      MORAINE_SERVE_ROWS: integer(args, 'rows', 1, 256)?.toString(),
      MORAINE_SERVE_PORT: port?.toString(),
    };
    return runProgram(
      'apps/inference/dist/main.js',
      programSettings(dataDirFor(text(args, 'data')), 'inference'),
      given,
    );
  },
};
