import { AppError, type CreateAnalysisRequest } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { type Arguments, type Command, integer, needed, number, type Option, oneOf, text } from '../args.js';
import { connect } from '../connect.js';
import { plainFileId } from '../file-id.js';
import { metadataOf } from '../metadata-option.js';
import { print } from '../terminal.js';
import { watchAnalysis } from './analyses-watch.js';

/** What makes an analysis. */
export const ANALYSIS_OPTIONS = {
  kind: {
    type: 'string',
    value: 'NAME',
    help: 'What is measured: weights, how each layer was changed, or canaries, how well planted pairs are known.',
  },
  model: {
    type: 'string',
    value: 'NAME',
    help: 'A registered adapter, ft:… or ft:…:ckpt-step-N; for canaries also a base.',
  },
  lambda: { type: 'string', value: 'L', help: 'Share of the update that is applied, 0 to 1; default 1.' },
  layers: { type: 'string', value: 'TEXT', help: 'Weights: only layers whose name holds it, e.g. mlp or layers.0.' },
  k: { type: 'string', value: 'N', help: 'Weights: directions of each matrix that are compared; default 10.' },
  epsilon: {
    type: 'string',
    value: 'E',
    help: 'Weights: a direction is an intruder where its cosine to each of the base’s is below it; default 0.5.',
  },
  seed: { type: 'string', value: 'N', help: 'Weights: of the numbers of the control; default 0.' },
  file: {
    type: 'string',
    value: 'FILE',
    help: 'Canaries: the canaries.json of `local canaries plant`, or the id of an uploaded one.',
  },
  pool: { type: 'string', value: 'NAME', help: 'Workers that may take it; default `default`.' },
  priority: { type: 'string', value: 'N', help: 'Higher ones are taken first, 0 to 100; default 50.' },
  metadata: { type: 'string', value: 'PAIR', help: 'A pair to find it by, key=value; as often as needed.' },
} satisfies Record<string, Option>;

const OF_KIND = { weights: ['layers', 'k', 'epsilon', 'seed'], canaries: ['file'] } as const;

/** Queues an analysis; a file of this machine is uploaded first. */
export async function createAnalysis(args: Arguments, command: Command): Promise<number> {
  const client = connect(args);
  const body = await requestBody(args, client, command);
  const analysis = await client.call('createAnalysis', { body });
  if (args.options.watch) return watchAnalysis(args, analysis.id);
  if (args.options.json) print(JSON.stringify(analysis));
  else print(`${analysis.id}: ${analysis.status}.\nWatch it: npx moraine analyses watch ${analysis.id}`);
  return 0;
}

/** What is not given is left for the server to choose. */
async function requestBody(args: Arguments, client: Client, command: Command): Promise<CreateAnalysisRequest> {
  needed(args, 'kind', command);
  const kind = oneOf(args, 'kind', ['weights', 'canaries'] as const) ?? 'weights';
  const model = needed(args, 'model', command);
  const foreign = OF_KIND[kind === 'weights' ? 'canaries' : 'weights'].find((name) => args.options[name] !== undefined);
  if (foreign !== undefined)
    throw new AppError('invalid_request', `--${foreign} has no meaning for ${kind}.`, {
      hint: `Leave --${foreign} out.`,
    });
  const common = {
    model,
    ...given({
      lambda: number(args, 'lambda', 0, 1),
      pool: text(args, 'pool'),
      priority: integer(args, 'priority', 0, 100),
      metadata: metadataOf(args),
    }),
  };
  if (kind === 'canaries')
    return { kind, ...common, file: await plainFileId(args, client, needed(args, 'file', command)) };
  return {
    kind,
    ...common,
    ...given({
      layers: text(args, 'layers'),
      k: integer(args, 'k', 1, 1024),
      epsilon: number(args, 'epsilon', 0, 1),
      seed: integer(args, 'seed', 0, 2 ** 31 - 1),
    }),
  };
}

const given = (optional: Record<string, unknown>) =>
  Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
