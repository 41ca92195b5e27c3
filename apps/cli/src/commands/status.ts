import { AppError, type WorkerObject } from '@moraine/contract';
import { createClient } from '@moraine/contract/client';
import { type Command, DATA_OPTION, noMoreThan, text } from '../args.js';
import { dataDirFor } from '../paths.js';
import { print, table } from '../terminal.js';
import { isRunning } from '../up/processes.js';
import { readStack, runningStack } from '../up/stack-file.js';

/** What `--json` prints. */
interface Status {
  data: string;
  /** Of the API; null where no stack runs. */
  url: string | null;
  /** Of `moraine up`; null where it does not run. */
  pid: number | null;
  /** Node processes of the stack, also where one that was killed left them. */
  parts: { name: string; pid: number }[];
  /** Null where the API did not say. */
  workers: WorkerObject[] | null;
  /** Why the API did not say. */
  error: string | null;
}

export const statusCommand: Command = {
  name: 'status',
  forms: ['[--data DIR] [--json]'],
  options: {
    data: DATA_OPTION,
    json: { type: 'boolean', help: 'Address, processes and workers as JSON.' },
  },
  run: async (args) => {
    noMoreThan(args, 0, statusCommand);
    const status = await statusOf(dataDirFor(text(args, 'data')));
    if (args.options.json) print(JSON.stringify(status));
    else show(status);
    return status.workers === null ? 1 : 0;
  },
};

async function statusOf(data: string): Promise<Status> {
  const { supervisor, parts: known } = readStack(data);
  const parts = known.filter(isRunning).map(({ name, pid }) => ({ name, pid }));
  const address = runningStack(data);
  if (!address || !supervisor) return { data, url: null, pid: null, parts, workers: null, error: null };
  const running = { data, url: address.origin, pid: supervisor.pid, parts };
  try {
    const { data: workers } = await createClient(address).call('listWorkers', { signal: AbortSignal.timeout(5_000) });
    const live = workers.filter(({ status }) => status !== 'gone' && status !== 'lost');
    return { ...running, workers: live, error: null };
  } catch (error) {
    if (!(error instanceof AppError || error instanceof DOMException)) throw error;
    return { ...running, workers: null, error: error.message };
  }
}

function show({ data, url, pid, parts, workers, error }: Status): void {
  if (url === null) {
    print(`No stack runs on ${data}.`);
    const left = parts.map((part) => `${part.name} (process ${part.pid})`).join(', ');
    if (left !== '') print(`Left by one that was killed, and taken over by the next start: ${left}.`);
    return;
  }
  print(`The stack on ${data} is at ${url} (process ${pid}).`);
  if (workers === null) print(`Its API does not respond: ${error}`);
  else if (workers.length === 0) print('No worker has reported yet.');
  else
    print(
      table(
        [{ title: 'WORKER' }, { title: 'STATUS' }, { title: 'DEVICE' }, { title: 'RUN' }],
        workers.map((worker) => [
          worker.name,
          worker.status,
          worker.device.name,
          worker.run_id ?? worker.task_id ?? worker.status_reason ?? '',
        ]),
      ),
    );
}
