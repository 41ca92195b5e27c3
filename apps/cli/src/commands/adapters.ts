import type { AdapterObject } from '@moraine/contract';
import { type Arguments, type Command, DATA_OPTION, noMoreThan, required, runAction } from '../args.js';
import { connect } from '../connect.js';
import { printList } from '../pages.js';
import { bytes, print, table } from '../terminal.js';

export const adaptersCommand: Command = {
  name: 'adapters',
  forms: ['list [--json]', 'show NAME [--json]', 'pin NAME [--json]', 'unpin NAME [--json]', 'unload NAME [--json]'],
  examples: ['list --json', 'pin records', 'unload ft:tiny:default:tickets:4f2k9x1c'],
  options: { data: DATA_OPTION, json: { type: 'boolean', help: 'What the API answers, as JSON.' } },
  run: (args) =>
    runAction(args, adaptersCommand, {
      list,
      show: (given) => one(given, 'getAdapter'),
      pin: (given) => one(given, 'pinAdapter'),
      unpin: (given) => one(given, 'unpinAdapter'),
      unload: (given) => one(given, 'unloadAdapter'),
    }),
};

async function list(args: Arguments): Promise<number> {
  noMoreThan(args, 1, adaptersCommand);
  const { data } = await connect(args).call('listAdapters');
  const none = 'No process has an adapter. The first question brings one: `moraine chat NAME`.';
  return printList(args, { items: data, hasMore: false }, places, none);
}

type Verb = 'getAdapter' | 'pinAdapter' | 'unpinAdapter' | 'unloadAdapter';

async function one(args: Arguments, verb: Verb): Promise<number> {
  const model = required(args, 1, 'The name of the adapter or checkpoint', adaptersCommand);
  noMoreThan(args, 2, adaptersCommand);
  const adapter = await connect(args).call(verb, { params: { model } });
  if (args.options.json) print(JSON.stringify(adapter));
  else if (adapter.processes.length === 0) print(`No process has ${adapter.id}; the next question brings it.`);
  else print(places([adapter]));
  return 0;
}

const places = (adapters: AdapterObject[]): string =>
  table(
    [
      { title: 'ADAPTER' },
      { title: 'BASE' },
      { title: 'PLACE' },
      { title: 'MEMORY', align: 'right' },
      { title: 'PINNED' },
      { title: 'PROCESS' },
      { title: 'HOST' },
    ],
    adapters.flatMap(({ id, base, processes }) =>
      processes.map((at) => [id, base, at.place, bytes(at.bytes), at.pinned ? 'yes' : '', at.id, at.host]),
    ),
  );
