import { type Command, DATA_OPTION, noMoreThan, text } from '../args.js';
import { dataDirFor } from '../paths.js';
import { programSettings, runProgram } from '../run-program.js';

export const workerCommand: Command = {
  name: 'worker',
  forms: ['[--pool POOL] [--name NAME] [--data DIR]'],
  options: {
    pool: { type: 'string', value: 'POOL', help: 'Pool whose runs it takes; default MORAINE_POOL or default.' },
    name: { type: 'string', value: 'NAME', help: 'Name on the page of workers; default that of this machine.' },
    data: DATA_OPTION,
  },
  run: async (args) => {
    noMoreThan(args, 0, workerCommand);
    const settings = programSettings(dataDirFor(text(args, 'data')), 'worker');
    const given = { MORAINE_POOL: text(args, 'pool'), MORAINE_WORKER_NAME: text(args, 'name') };
    return runProgram('apps/worker/dist/main.js', settings, given);
  },
};
