import { spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { type Command, DATA_OPTION, integer, noMoreThan, required, text } from '../args.js';
import { childEnv, isSet } from '../env.js';
import { dataDirFor, inRepo } from '../paths.js';
import { workerSettings } from './worker.js';

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
    const dataDir = dataDirFor(text(args, 'data'));
    const given = {
      MORAINE_SERVE_HOST: text(args, 'host'),
      MORAINE_SERVE_ROWS: integer(args, 'rows', 1, 256)?.toString(),
      MORAINE_SERVE_PORT:
        integer(args, 'port', 0, 65_535)?.toString() ?? (isSet('MORAINE_SERVE_PORT') ? undefined : `${PORT}`),
      MORAINE_WORK_DIR: isSet('MORAINE_WORK_DIR') ? undefined : path.join(dataDir, 'work', 'inference'),
    };
    const settings: Record<string, string> = { ...workerSettings(dataDir), MORAINE_SERVE_BASE: base };
    for (const [name, value] of Object.entries(given)) if (value !== undefined) settings[name] = value;
    const child = spawn(process.execPath, [inRepo('apps/inference/dist/main.js')], {
      env: childEnv(settings),
      stdio: 'inherit',
    });
    // Ctrl-C in a terminal reaches it by itself.
    const pass = (): boolean => child.kill('SIGTERM');
    const stay = (): void => undefined;
    process.on('SIGTERM', pass).on('SIGINT', stay);
    const [code] = (await once(child, 'exit')) as [number | null];
    process.off('SIGTERM', pass).off('SIGINT', stay);
    return code ?? 1;
  },
};
