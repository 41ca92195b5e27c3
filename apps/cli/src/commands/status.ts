import { AppError } from '@moraine/contract';
import { createClient } from '@moraine/contract/client';
import { type Command, DATA_OPTION, noMoreThan, text } from '../args.js';
import { dataDirFor } from '../paths.js';
import { print, table } from '../terminal.js';
import { isRunning } from '../up/processes.js';
import { readStack, runningStack } from '../up/stack-file.js';

export const statusCommand: Command = {
  name: 'status',
  forms: ['[--data DIR]'],
  options: { data: DATA_OPTION },
  run: async (args) => {
    noMoreThan(args, 0, statusCommand);
    const dataDir = dataDirFor(text(args, 'data'));
    const stack = readStack(dataDir);
    const left = stack.parts.filter(isRunning);
    const address = runningStack(dataDir);
    if (!address || !stack.supervisor) {
      print(`No stack runs on ${dataDir}.`);
      if (left.length > 0)
        print(
          `Left by one that was killed, and taken over by the next start: ${left.map(({ name, pid }) => `${name} (process ${pid})`).join(', ')}.`,
        );
      return 1;
    }
    print(`The stack on ${dataDir} is at ${address.origin} (process ${stack.supervisor.pid}).`);
    try {
      const { data } = await createClient(address).call('listWorkers', { signal: AbortSignal.timeout(5_000) });
      const live = data.filter(({ status }) => status !== 'gone' && status !== 'lost');
      if (live.length === 0) print('No worker has reported yet.');
      else
        print(
          table(
            [{ title: 'WORKER' }, { title: 'STATUS' }, { title: 'DEVICE' }, { title: 'RUN' }],
            live.map((worker) => [
              worker.name,
              worker.status,
              worker.device.name,
              worker.run_id ?? worker.task_id ?? worker.status_reason ?? '',
            ]),
          ),
        );
      return 0;
    } catch (error) {
      if (!(error instanceof AppError || error instanceof DOMException)) throw error;
      print(`Its API does not respond: ${error.message}`);
      return 1;
    }
  },
};
