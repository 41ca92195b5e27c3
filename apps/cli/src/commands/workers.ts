import { type Arguments, type Command, DATA_OPTION, noMoreThan, runAction } from '../args.js';
import { connect } from '../connect.js';
import { bytes, print, table } from '../terminal.js';

export const workersCommand: Command = {
  name: 'workers',
  forms: ['ls [--json]'],
  examples: ['ls', 'ls --json'],
  options: { data: DATA_OPTION, json: { type: 'boolean', help: 'The workers as the API gives them, as JSON.' } },
  run: (args) => runAction(args, workersCommand, { ls }),
};

async function ls(args: Arguments): Promise<number> {
  noMoreThan(args, 1, workersCommand);
  const { data } = await connect(args).call('listWorkers');
  if (args.options.json) print(JSON.stringify(data));
  else if (data.length === 0) print('No worker has reported yet. Start one with `moraine worker`.');
  else
    print(
      table(
        [
          { title: 'WORKER' },
          { title: 'POOL' },
          { title: 'STATUS' },
          { title: 'DEVICE' },
          { title: 'MEMORY', align: 'right' },
          { title: 'SEEN', align: 'right' },
          { title: 'RUN' },
        ],
        data.map((one) => [
          one.name,
          one.pool,
          one.status,
          one.device.name,
          bytes(one.memory_bytes),
          `${Math.round(one.heartbeat_age_s)} s ago`,
          one.run_id ?? one.status_reason ?? '',
        ]),
      ),
    );
  return 0;
}
