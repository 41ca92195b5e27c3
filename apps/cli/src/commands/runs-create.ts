import type { CreateRunRequest, RunObject } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { describeChoices } from '@moraine/contract/plan';
import { type Arguments, type Command, needed, noMoreThan, number, type Option, text } from '../args.js';
import { besideLines } from '../beside-lines.js';
import { connect } from '../connect.js';
import { fileId } from '../file-id.js';
import { sharesOf } from '../mix-shares.js';
import { REQUEST_OPTIONS, readJson, withOptions } from '../request-options.js';
import { print, printError } from '../terminal.js';
import { watchUntilEnd } from './runs-watch.js';

/** Of every command that describes a run. */
export const RUN_OPTIONS = {
  model: {
    type: 'string',
    value: 'NAME',
    help: 'Registered base to train, or an adapter to go on with: a registered one, ft:… or ft:…:ckpt-step-N; `moraine models ls`.',
  },
  file: { type: 'string', value: 'FILE', help: 'Rows to train on: a JSONL file, or the id of an uploaded one.' },
  valid: { type: 'string', value: 'FILE', help: 'Rows for validation, likewise.' },
  'validation-split': {
    type: 'string',
    value: 'SIZE',
    help: 'In place of --valid: this share of the rows (below 1), or so many of them, are for validation and not trained on.',
  },
  suffix: { type: 'string', value: 'TEXT', help: 'Part of the name of the trained model.' },
  ...REQUEST_OPTIONS,
} satisfies Record<string, Option>;

export const CREATE_OPTIONS = {
  ...RUN_OPTIONS,
  'dry-run': {
    type: 'boolean',
    help: 'Check everything, print the whole configuration and what would be changed or left out; queue nothing.',
  },
  watch: { type: 'boolean', help: 'Show the run live until it has ended.' },
} satisfies Record<string, Option>;

/** Queues a run from options and a configuration file; files of this machine are uploaded first. */
export async function createRun(args: Arguments, command: Command): Promise<number> {
  noMoreThan(args, 1, command);
  const client = connect(args);
  return submitRun(args, client, await requestBody(args, client, command));
}

/** Queues a run, or with `--dry-run` checks it, and says what came of it; `wrap` makes what is printed with `--json`. */
export async function submitRun(
  args: Arguments,
  client: Client,
  request: Record<string, unknown>,
  wrap: (run: RunObject) => unknown = (run) => run,
): Promise<number> {
  const body = args.options['dry-run'] ? { ...request, dry_run: true } : request;
  // The server checks it, and names what it does not know.
  const run = await client.call('createRun', { body: body as CreateRunRequest });
  if (args.options.json && !args.options.watch) {
    print(JSON.stringify(wrap(run)));
    return 0;
  }
  if (body.dry_run === true) {
    print(JSON.stringify(run.config, null, 2));
    const said = [
      ...sharesOf(run.rehearsal),
      ...(run.rehearsal ?? []).flatMap(({ warnings }) => warnings),
      ...(run.advice ?? []).map((a) => a.message),
      ...(run.beside ? besideLines(run.beside).map((line) => `Beside it at least ${line}.`) : []),
    ];
    for (const sentence of said) printError(sentence);
    return 0;
  }
  if (args.options.json) return watchUntilEnd(args, run.id);
  print(`${run.id}: ${run.status}, ${run.progress.steps} steps on ${run.model}.`);
  for (const sentence of describeChoices(run.config)) print(sentence);
  if (args.options.watch) return watchUntilEnd(args, run.id);
  print(`Watch it: npx moraine runs watch ${run.id}`);
  return 0;
}

/** The request that options and a configuration file make; files of this machine are uploaded. */
export async function requestBody(args: Arguments, client: Client, command: Command): Promise<Record<string, unknown>> {
  const config = text(args, 'config');
  const given = withOptions(config === undefined ? {} : readJson(config), args);
  const pick = (key: string, option: string): string =>
    text(args, option) ?? (typeof given[key] === 'string' ? given[key] : needed(args, option, command));
  const body: Record<string, unknown> = { ...given, model: pick('model', 'model') };
  const [training, valid, suffix] = [pick('training_file', 'file'), text(args, 'valid'), text(args, 'suffix')];
  body.training_file = await fileId(args, client, training);
  if (Array.isArray(given.data_mix)) body.data_mix = await withFileIds(args, client, given.data_mix);
  if (valid !== undefined) body.validation_file = await fileId(args, client, valid);
  const split = number(args, 'validation-split', 0, 2 ** 31 - 1);
  if (split !== undefined) body.validation_split = split;
  if (suffix !== undefined) body.suffix = suffix;
  return body;
}

/** Entries of a data_mix whose files of this machine are uploaded; what is no entry is left for the server to refuse. */
async function withFileIds(args: Arguments, client: Client, entries: readonly unknown[]): Promise<unknown[]> {
  const uploaded: unknown[] = [];
  for (const entry of entries) {
    const file = typeof entry === 'object' && entry !== null && 'file_id' in entry ? entry.file_id : undefined;
    uploaded.push(
      typeof file === 'string' ? { ...(entry as object), file_id: await fileId(args, client, file) } : entry,
    );
  }
  return uploaded;
}
