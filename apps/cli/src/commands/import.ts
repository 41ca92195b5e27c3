import path from 'node:path';
import { type Json, type Lines, translateJob } from '@moraine/contract/moving';
import { type Arguments, type Command, DATA_OPTION, needed, noMoreThan, number, required, text } from '../args.js';
import { connect } from '../connect.js';
import { fileId } from '../file-id.js';
import { REQUEST_OPTIONS, readJson, withOptions } from '../request-options.js';
import { labelled, paint, print } from '../terminal.js';
import { CREATE_OPTIONS, submitRun } from './runs-create.js';

export const importCommand: Command = {
  name: 'import',
  forms: ['JOB.json --training-file FILE [--validation-file FILE] --base NAME [--dry-run] [--watch] [--json]'],
  options: {
    data: DATA_OPTION,
    'training-file': {
      type: 'string',
      value: 'FILE',
      help: 'Rows that the job was trained on: a JSONL file, or the id of an uploaded one.',
    },
    'validation-file': { type: 'string', value: 'FILE', help: 'Rows for validation, likewise.' },
    'validation-split': CREATE_OPTIONS['validation-split'],
    base: {
      type: 'string',
      value: 'NAME',
      help: 'Registered base to train in place of the model of the job; `moraine models ls`.',
    },
    ...REQUEST_OPTIONS,
    'dry-run': {
      type: 'boolean',
      help: 'Say what is kept and what cannot be, check everything and print the whole configuration; queue nothing.',
    },
    watch: CREATE_OPTIONS.watch,
    json: { type: 'boolean', help: 'What is kept, what is dropped and the run, as JSON.' },
  },
  run: async (args) => {
    noMoreThan(args, 1, importCommand);
    const job = readJson(path.resolve(required(args, 0, 'The file of the job', importCommand)));
    const [base, training] = [needed(args, 'base', importCommand), needed(args, 'training-file', importCommand)];
    const validation = text(args, 'validation-file');
    const split = number(args, 'validation-split', 0, 2 ** 31 - 1);
    const client = connect(args);
    const { context: contextMax } = await client.call('getModel', { params: { model: base } });
    const hasValidation = (validation ?? split) !== undefined;
    const { request, ...told } = translateJob(job, { base, hasValidation, contextMax });
    if (!args.options.json) print(describe(told));
    const config = text(args, 'config');
    const asked = { ...withoutOverruled(request, args), ...(config === undefined ? {} : readJson(config)) };
    const body = {
      ...withOptions(asked, args),
      training_file: await fileId(args, client, training),
      ...(validation === undefined ? {} : { validation_file: await fileId(args, client, validation) }),
      ...(split === undefined ? {} : { validation_split: split }),
    };
    return submitRun(args, client, body, (run) => ({ ...told, run }));
  },
};

/** OpenAI's form of a value, where an option says it by the name that it has here. */
function withoutOverruled(request: Json, args: Arguments): Json {
  const { hyperparameters } =
    (request.method as { supervised?: { hyperparameters?: Json } } | undefined)?.supervised ?? {};
  const overruled = { batch_size: args.options['batch-size'], learning_rate_multiplier: args.options.lr };
  const left = Object.entries(hyperparameters ?? {}).filter(
    ([key]) => overruled[key as keyof typeof overruled] === undefined,
  );
  if (hyperparameters === undefined) return request;
  return { ...request, method: { type: 'supervised', supervised: { hyperparameters: Object.fromEntries(left) } } };
}

/** Line by line what carries over and what does not. */
function describe({ provider, job, kept, dropped }: { provider: string; job: string | null } & Lines): string {
  const rows = (title: string, lines: Lines['kept']): string[] =>
    lines.length === 0
      ? []
      : [`${title}:`, ...labelled(lines.map(({ key, text }): [string, string] => [`  ${key}`, text])).split('\n')];
  return [
    paint('bold', `The ${provider} job ${job ?? ''}`.trim()),
    ...rows('kept', kept),
    ...rows('dropped', dropped),
    ...(dropped.length === 0 ? ['All of it carries over.'] : []),
    '',
  ].join('\n');
}
