import path from 'node:path';
import { AppError, type ModelObject } from '@moraine/contract';
import { isHubSource } from '@moraine/data/hub';
import { type Arguments, type Command, DATA_OPTION, noMoreThan, required, runAction, text } from '../args.js';
import { connect } from '../connect.js';
import { downloadOnServer } from '../download-on-server.js';
import { dataDirFor } from '../paths.js';
import { isAdapterFolder, registerAdapter } from '../register-adapter.js';
import { registerBase } from '../register-base.js';
import { registerFromHub } from '../register-from-hub.js';
import { isTar, kindOfTar, registerTar } from '../register-tar.js';
import { labelled, print, table } from '../terminal.js';

export const modelsCommand: Command = {
  name: 'models',
  forms: [
    'add NAME DIR|FILE.tar[.gz] [--base MODEL]',
    'add NAME hf:ORG/REPO[@REV] [--on-server]',
    'show NAME [--json]',
    'rm NAME [--json]',
    'ls [--json]',
  ],
  examples: [
    'add smol hf:HuggingFaceTB/SmolLM2-135M',
    'add mine ./adapter --base smol',
    'add mine adapter.tar.gz --base smol',
    'show smol',
    'ls --json',
  ],
  options: {
    base: {
      type: 'string',
      value: 'MODEL',
      help: 'Of an adapter: the registered base that it was trained on; default the one that its configuration names.',
    },
    'on-server': {
      type: 'boolean',
      help: 'Of a model of a hub: the server downloads it, from its own HF_ENDPOINT with its own HF_TOKEN, and goes on when this command ends.',
    },
    json: { type: 'boolean', help: 'The model or the list as the API gives it, as JSON.' },
    data: DATA_OPTION,
  },
  run: (args) => runAction(args, modelsCommand, { add, show, rm: remove, ls: list }),
};

async function add(args: Arguments): Promise<number> {
  const name = required(args, 1, 'The name of the model', modelsCommand);
  const source = required(args, 2, 'The folder or tar of a model or an adapter, or hf:ORG/REPO@REV', modelsCommand);
  noMoreThan(args, 3, modelsCommand);
  if (args.options['on-server'] === true && !isHubSource(source))
    throw new AppError('invalid_request', `--on-server is of models of a hub, and ${source} is none.`, {
      hint: 'Leave it out: the files are sent from here.',
    });
  const model =
    (await kindOf(source)) === 'adapter' ? await addAdapter(args, name, source) : await addBase(args, name, source);
  if (args.options.json) {
    print(JSON.stringify(model));
    return 0;
  }
  print(
    model.kind === 'adapter'
      ? `${model.id}: an adapter of ${model.parent}. \`moraine runs create --model ${model.id}\` goes on training it.`
      : `${model.id}: ${(model.parameters ?? 0).toLocaleString('en')} parameters, context ${model.context ?? '?'} tokens.`,
  );
  return 0;
}

async function kindOf(source: string): Promise<'adapter' | 'base'> {
  if (isHubSource(source)) return 'base';
  if (isTar(source)) return kindOfTar(source);
  return isAdapterFolder(source) ? 'adapter' : 'base';
}

function addAdapter(args: Arguments, name: string, source: string): Promise<ModelObject> {
  const base = text(args, 'base');
  if (isTar(source)) return registerTar(connect(args), { kind: 'adapter', name, file: source, base });
  return registerAdapter(connect(args), { name, dir: path.resolve(source), base });
}

function addBase(args: Arguments, name: string, source: string): Promise<ModelObject> {
  if (text(args, 'base') !== undefined)
    throw new AppError('invalid_request', `--base is of adapters, and ${source} is none.`, { hint: 'Leave it out.' });
  if (args.options['on-server'] === true) return downloadOnServer(connect(args), name, source);
  if (isHubSource(source))
    return registerFromHub(connect(args), name, source, path.join(dataDirFor(text(args, 'data')), 'hub'));
  if (isTar(source)) return registerTar(connect(args), { kind: 'base', name, file: source });
  return registerBase(connect(args), name, source);
}

async function show(args: Arguments): Promise<number> {
  const name = required(args, 1, 'The name of the model', modelsCommand);
  noMoreThan(args, 2, modelsCommand);
  const model = await connect(args).call('getModel', { params: { model: name } });
  print(args.options.json ? JSON.stringify(model) : describe(model));
  return model.status === 'error' ? 1 : 0;
}

const describe = (model: ModelObject): string =>
  labelled([
    ['model', model.id],
    ['kind', KINDS[model.kind]],
    ['status', model.status],
    ['why', model.error?.message ?? model.download?.waiting ?? null],
    ['parameters', model.parameters?.toLocaleString('en') ?? null],
    ['context', model.context === null ? null : `${model.context} tokens`],
    ['of', model.parent ?? null],
    ['run', model.run_id ?? null],
    ['from', [model.source, model.commit].filter(Boolean).join(' at ')],
  ]);

const KINDS = { base: 'base', adapter: 'adapter', fine_tuned: 'fine-tuned' } as const;

async function remove(args: Arguments): Promise<number> {
  const model = required(args, 1, 'The name of the model', modelsCommand);
  noMoreThan(args, 2, modelsCommand);
  const answer = await connect(args).call('deleteModel', { params: { model } });
  print(args.options.json ? JSON.stringify(answer) : `${model} is deleted.`);
  return 0;
}

async function list(args: Arguments): Promise<number> {
  noMoreThan(args, 1, modelsCommand);
  const { data } = await connect(args).call('listModels');
  if (args.options.json) {
    print(JSON.stringify(data));
    return 0;
  }
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
        { title: 'STATUS' },
        { title: 'PARAMETERS', align: 'right' },
        { title: 'CONTEXT', align: 'right' },
        { title: 'FROM' },
      ],
      data.map((model) => [
        model.id,
        KINDS[model.kind],
        model.status,
        model.parameters?.toLocaleString('en') ?? '',
        model.context?.toLocaleString('en') ?? '',
        model.run_id ?? model.parent ?? model.source ?? '',
      ]),
    ),
  );
  return 0;
}
