import type { PoolObject } from '@moraine/contract';
import { type Arguments, type Command, DATA_OPTION, noMoreThan, runAction, text } from '../args.js';
import { connect } from '../connect.js';
import { printList } from '../pages.js';
import { duration, table } from '../terminal.js';

export const poolsCommand: Command = {
  name: 'pools',
  forms: ['ls [--pool NAME] [--json]'],
  examples: ['ls', 'ls --pool gpu --json'],
  options: {
    data: DATA_OPTION,
    pool: { type: 'string', value: 'NAME', help: 'This pool only; with zeros where it has neither workers nor tasks.' },
    json: { type: 'boolean', help: 'The pools as the API gives them, as JSON.' },
  },
  run: (args) => runAction(args, poolsCommand, { ls }),
};

async function ls(args: Arguments): Promise<number> {
  noMoreThan(args, 1, poolsCommand);
  const { data } = await connect(args).call('listPools', { query: { pool: text(args, 'pool') } });
  return printList(
    args,
    { items: data, hasMore: false },
    (pools) =>
      table(
        [
          { title: 'POOL' },
          { title: 'WORKERS' },
          { title: 'QUEUED', align: 'right' },
          { title: 'RUNNING', align: 'right' },
          { title: 'PAUSED', align: 'right' },
          { title: 'FREE', align: 'right' },
          { title: 'LONGEST WAIT', align: 'right' },
          { title: 'WANTED', align: 'right' },
        ],
        pools.map((pool) => [
          pool.id,
          workersOf(pool),
          ...[pool.queued, pool.running, pool.paused, pool.slots_free].map(String),
          pool.queued === 0 ? '' : duration(pool.oldest_wait_s),
          String(pool.desired),
        ]),
      ),
    'No pools yet: a pool is there as soon as a worker or a run names it.',
  );
}

/** `2 ready, 1 busy`. */
const workersOf = ({ workers }: PoolObject): string =>
  Object.entries(workers)
    .flatMap(([status, count]) => (count > 0 ? [`${count} ${status}`] : []))
    .join(', ') || 'none';
