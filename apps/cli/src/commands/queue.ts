import { type Arguments, type Command, DATA_OPTION, noMoreThan, runAction, text } from '../args.js';
import { PAGE_OPTIONS, printList, readPages } from '../pages.js';
import { duration, table } from '../terminal.js';

export const queueCommand: Command = {
  name: 'queue',
  forms: ['ls [--pool NAME] [--limit N | --all] [--after ID] [--json]'],
  examples: ['ls', 'ls --pool gpu --all --json'],
  options: {
    data: DATA_OPTION,
    pool: { type: 'string', value: 'NAME', help: 'What waits in this pool only.' },
    ...PAGE_OPTIONS,
    json: { type: 'boolean', help: 'What waits as the API gives it, as JSON.' },
  },
  run: (args) => runAction(args, queueCommand, { ls }),
};

/** What waits, pool by pool in its order, with the place and the reason. */
async function ls(args: Arguments): Promise<number> {
  noMoreThan(args, 1, queueCommand);
  const pool = text(args, 'pool');
  const waiting = await readPages(args, 200, (client, page) => client.call('listQueue', { query: { pool, ...page } }));
  return printList(
    args,
    waiting,
    (entries) =>
      table(
        [
          { title: 'POOL' },
          { title: 'PLACE', align: 'right' },
          { title: 'TASK' },
          { title: 'NAME' },
          { title: 'KIND' },
          { title: 'PRIORITY', align: 'right' },
          { title: 'WAITS', align: 'right' },
          { title: 'WHY' },
        ],
        entries.map((one) => [
          one.pool,
          String(one.position),
          one.run_id ?? one.id,
          one.name === one.run_id ? '' : one.name,
          one.kind,
          String(one.priority),
          duration(Date.now() / 1000 - one.queued_at),
          one.reason.message,
        ]),
      ),
    'Nothing waits.',
  );
}
