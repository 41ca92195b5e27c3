import { type Arguments, type Command, DATA_OPTION, noMoreThan, required, runAction } from '../args.js';
import { connect } from '../connect.js';
import { printList } from '../pages.js';
import { bytes, print, table } from '../terminal.js';

export const workersCommand: Command = {
  name: 'workers',
  forms: ['ls [--json]', 'cordon WORKER [--json]', 'uncordon WORKER [--json]', 'drain WORKER [--json]'],
  examples: ['ls --json', 'cordon worker-1', 'drain worker_4f2k'],
  options: { data: DATA_OPTION, json: { type: 'boolean', help: 'What the API answers, as JSON.' } },
  run: (args) =>
    runAction(args, workersCommand, {
      ls,
      cordon: (given) => change(given, 'cordonWorker', 'takes nothing new'),
      uncordon: (given) => change(given, 'uncordonWorker', 'takes tasks again'),
      drain: (given) => change(given, 'drainWorker', 'saves, gives back what it has, and ends'),
    }),
};

/** The worker is named by its id, or by its name where one alone has it. */
async function change(
  args: Arguments,
  verb: 'cordonWorker' | 'uncordonWorker' | 'drainWorker',
  words: string,
): Promise<number> {
  const wanted = required(args, 1, 'The id or name of the worker', workersCommand);
  noMoreThan(args, 2, workersCommand);
  const client = connect(args);
  const { data } = await client.call('listWorkers');
  const named = data.filter(({ name, status }) => name === wanted && status !== 'lost');
  const id = named.length === 1 ? (named[0]?.id ?? wanted) : wanted;
  const worker = await client.call(verb, { params: { id } });
  print(args.options.json ? JSON.stringify(worker) : `${worker.name} (${worker.id}): ${worker.status}; it ${words}.`);
  return 0;
}

async function ls(args: Arguments): Promise<number> {
  noMoreThan(args, 1, workersCommand);
  const { data } = await connect(args).call('listWorkers');
  return printList(
    args,
    { items: data, hasMore: false },
    (workers) =>
      table(
        [
          { title: 'WORKER' },
          { title: 'ID' },
          { title: 'POOL' },
          { title: 'STATUS' },
          { title: 'DEVICE' },
          { title: 'MEMORY', align: 'right' },
          { title: 'SEEN', align: 'right' },
          { title: 'TASK' },
        ],
        workers.map((one) => [
          one.name,
          one.id,
          one.pool,
          one.status,
          one.device.name,
          bytes(one.memory_bytes),
          `${Math.round(one.heartbeat_age_s)} s ago`,
          one.run_id ?? one.task_id ?? one.status_reason ?? '',
        ]),
      ),
    'No worker has reported yet. Start one with `moraine worker`.',
  );
}
