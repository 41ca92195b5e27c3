import path from 'node:path';
import { AppError } from '@moraine/contract';
import { isHubSource } from '@moraine/data/hub';
import { type Arguments, type Command, DATA_OPTION, noMoreThan, required, runAction, text } from '../args.js';
import { connect } from '../connect.js';
import { dataDirFor } from '../paths.js';
import { isAdapterFolder, registerAdapter } from '../register-adapter.js';
import { registerBase } from '../register-base.js';
import { registerFromHub } from '../register-from-hub.js';
import { print, table } from '../terminal.js';

export const modelsCommand: Command = {
  name: 'models',
  forms: ['add NAME DIR [--base MODEL]', 'add NAME hf:ORG/REPO[@REV]', 'ls'],
  options: {
    base: {
      type: 'string',
      value: 'MODEL',
      help: 'Of an adapter: the registered base that it was trained on; default the one that its configuration names.',
    },
    data: DATA_OPTION,
  },
  run: (args) => runAction(args, modelsCommand, { add, ls: list }),
};

async function add(args: Arguments): Promise<number> {
  const name = required(args, 1, 'The name of the model', modelsCommand);
  const source = required(args, 2, 'The folder of the model or of an adapter, or hf:ORG/REPO@REV', modelsCommand);
  noMoreThan(args, 3, modelsCommand);
  const base = text(args, 'base');
  if (!isHubSource(source) && isAdapterFolder(source)) {
    const adapter = await registerAdapter(connect(args), { name, dir: path.resolve(source), base });
    print(
      `${adapter.id}: an adapter of ${adapter.parent}. \`moraine runs create --model ${adapter.id}\` goes on training it.`,
    );
    return 0;
  }
  if (base !== undefined)
    throw new AppError('invalid_request', `--base is of adapters, and ${source} is none.`, { hint: 'Leave it out.' });
  const hubDir = path.join(dataDirFor(text(args, 'data')), 'hub');
  const model = isHubSource(source)
    ? await registerFromHub(connect(args), name, source, hubDir)
    : await registerBase(connect(args), name, source);
  print(
    `${model.id}: ${(model.parameters ?? 0).toLocaleString('en')} parameters, context ${model.context ?? '?'} tokens.`,
  );
  return 0;
}

async function list(args: Arguments): Promise<number> {
  noMoreThan(args, 1, modelsCommand);
  const { data } = await connect(args).call('listModels');
  if (data.length === 0) {
    print(
      'No models yet. Register a base with `moraine models add NAME DIR`, or `hf:ORG/REPO` in place of the folder.',
    );
    return 0;
  }
  print(
    table(
      [
        { title: 'MODEL' },
        { title: 'KIND' },
        { title: 'PARAMETERS', align: 'right' },
        { title: 'CONTEXT', align: 'right' },
        { title: 'FROM' },
      ],
      data.map((model) => [
        model.id,
        model.kind === 'fine_tuned' ? 'fine-tuned' : model.kind,
        model.parameters?.toLocaleString('en') ?? '',
        model.context?.toLocaleString('en') ?? '',
        model.run_id ?? model.parent ?? '',
      ]),
    ),
  );
  return 0;
}
