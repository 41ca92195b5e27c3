import path from 'node:path';
import { isHubSource } from '@moraine/data/hub';
import { type Arguments, type Command, DATA_OPTION, noMoreThan, required, runAction, text } from '../args.js';
import { connect } from '../connect.js';
import { dataDirFor } from '../paths.js';
import { registerBase } from '../register-base.js';
import { registerFromHub } from '../register-from-hub.js';
import { print, table } from '../terminal.js';

export const modelsCommand: Command = {
  name: 'models',
  forms: ['add NAME DIR', 'add NAME hf:ORG/REPO[@REV]', 'ls'],
  options: { data: DATA_OPTION },
  run: (args) => runAction(args, modelsCommand, { add, ls: list }),
};

async function add(args: Arguments): Promise<number> {
  const name = required(args, 1, 'The name of the model', modelsCommand);
  const source = required(args, 2, 'The folder of the model, or hf:ORG/REPO@REV', modelsCommand);
  noMoreThan(args, 3, modelsCommand);
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
        model.kind === 'base' ? 'base' : 'fine-tuned',
        model.parameters?.toLocaleString('en') ?? '',
        model.context?.toLocaleString('en') ?? '',
        model.run_id ?? '',
      ]),
    ),
  );
  return 0;
}
