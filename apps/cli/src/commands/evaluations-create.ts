import type { CreateEvaluationRequest } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { SUITES } from '@moraine/contract/suites';
import { type Arguments, type Command, integer, needed, number, type Option, text } from '../args.js';
import { connect } from '../connect.js';
import { suiteFileId } from '../file-id.js';
import { metadataOf } from '../metadata-option.js';
import { SAMPLING_OPTIONS, samplingOf } from '../sampling-options.js';
import { print } from '../terminal.js';
import { watchEvaluation } from './evaluations-watch.js';

/** Of every command that makes an evaluation. */
export const EVALUATION_OPTIONS = {
  model: {
    type: 'string',
    value: 'NAME',
    help: 'A base, a registered adapter, ft:… or ft:…:ckpt-step-N; `moraine models ls`.',
  },
  lambda: {
    type: 'string',
    value: 'L',
    help: 'Share of the update that is applied, 0 to 1: default 1, all of it; 0 is the base.',
  },
  suite: {
    type: 'string',
    value: 'NAME',
    help: `How the rows are asked and judged: ${[...SUITES.keys()].join(', ')}.`,
  },
  file: { type: 'string', value: 'FILE', help: 'Rows of the suite: a file, or the id of an uploaded one.' },
  examples: {
    type: 'string',
    value: 'FILE',
    help: 'Rows that examples are taken from, likewise; default the first rows of the file, which are not asked then.',
  },
  fewshot: {
    type: 'string',
    value: 'N',
    help: 'Solved examples before each item; default: what the suite is known by.',
  },
  limit: { type: 'string', value: 'N', help: 'No more than so many items, the first ones.' },
  seed: { type: 'string', value: 'N', help: 'With --limit: draw the items from all instead.' },
  ...SAMPLING_OPTIONS,
  pool: { type: 'string', value: 'NAME', help: 'Workers that may take it; default `default`.' },
  priority: { type: 'string', value: 'N', help: 'Higher ones are taken first, 0 to 100; default 50.' },
  metadata: { type: 'string', value: 'PAIR', help: 'A pair to find it by, key=value; as often as needed.' },
} satisfies Record<string, Option>;

const UINT31 = 2 ** 31 - 1;

/** Queues an evaluation; files of this machine are uploaded first. */
export async function createEvaluation(args: Arguments, command: Command, named?: string): Promise<number> {
  const client = connect(args);
  const body = await requestBody(args, client, command, named);
  const evaluation = await client.call('createEvaluation', { body });
  if (args.options.watch) return watchEvaluation(args, evaluation.id);
  if (args.options.json) print(JSON.stringify(evaluation));
  else print(`${evaluation.id}: ${evaluation.status}.\nWatch it: npx moraine evaluations watch ${evaluation.id}`);
  return 0;
}

/** What is not given is left for the server to choose. */
async function requestBody(
  args: Arguments,
  client: Client,
  command: Command,
  named: string | undefined,
): Promise<CreateEvaluationRequest> {
  const model = needed(args, 'model', command);
  const suite = needed(args, 'suite', command);
  const file = named ?? needed(args, 'file', command);
  const optional = {
    lambda: number(args, 'lambda', 0, 1),
    fewshot: integer(args, 'fewshot', 0, 64),
    limit: integer(args, 'limit', 1, UINT31),
    seed: integer(args, 'seed', 0, UINT31),
    sampling: samplingOf(args) ?? undefined,
    pool: text(args, 'pool'),
    priority: integer(args, 'priority', 0, 100),
    metadata: metadataOf(args),
  };
  const given = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
  const examples = text(args, 'examples');
  return {
    model,
    suite,
    file: await suiteFileId(args, client, file, suite),
    ...(examples === undefined ? {} : { examples: await suiteFileId(args, client, examples, suite) }),
    ...given,
  };
}
