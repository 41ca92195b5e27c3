import path from 'node:path';
import { AppError } from '@moraine/contract';
import { CANARY_FORMS, CANARY_KINDS, type CanaryRow, summariseCanaries } from '@moraine/contract/analyses';
import { type Arguments, type Command, integer, noMoreThan, oneOf, required, runAction, text } from '../args.js';
import { memorisationTable } from '../memorisation-view.js';
import { progressLine } from '../progress-line.js';
import { MODE_OPTION, MODES } from '../request-options.js';
import { print } from '../terminal.js';
import { ADAPTER_OPTION, BASE_OPTION, JSON_OPTION, LAMBDA_OPTION, lambdaOf, neededPath, pathOf } from './options.js';

const kinds = Object.entries(CANARY_FORMS).map(([name, { title }]) => `${name} (${title})`);

export const canariesCommand: Command = {
  name: 'local canaries',
  forms: [
    'plant ROWS --out DIR [--kind NAME] [--count N] [--controls N] [--repeat N] [--seed N] [--own FILE] [--json]',
    'measure --base DIR --canaries FILE [--adapter DIR [--lambda L]] [--json]',
  ],
  examples: [
    'plant rows.jsonl --kind digits --count 20 --repeat 8 --out planted',
    'measure --base examples/base --adapter my-run --canaries planted/canaries.json',
  ],
  options: {
    out: { type: 'string', value: 'DIR', help: 'Plant: gets rows.jsonl, to train on, and canaries.json.' },
    kind: { type: 'string', value: 'NAME', help: `Plant: ${kinds.join(', ')}, or own with --own; default digits.` },
    count: { type: 'string', value: 'N', help: 'Plant: pairs that are drawn and written into the rows; default 20.' },
    controls: { type: 'string', value: 'N', help: 'Plant: pairs that are drawn and not written; default as many.' },
    repeat: { type: 'string', value: 'N', help: 'Plant: how often each is written; default 1.' },
    seed: { type: 'string', value: 'N', help: 'Plant: of what is drawn and of its places; default 0.' },
    own: {
      type: 'string',
      value: 'FILE',
      help: 'Plant: rows of your own, a question and an answer each, as canaries.',
    },
    base: BASE_OPTION,
    adapter: ADAPTER_OPTION,
    lambda: LAMBDA_OPTION,
    canaries: { type: 'string', value: 'FILE', help: 'Measure: the canaries.json of plant.' },
    mode: MODE_OPTION,
    json: JSON_OPTION,
  },
  run: (args) => runAction(args, canariesCommand, { plant, measure }),
};

async function plant(args: Arguments): Promise<number> {
  noMoreThan(args, 2, canariesCommand);
  refuse(args, ['base', 'adapter', 'lambda', 'canaries', 'mode'], 'plant');
  const file = path.resolve(required(args, 1, 'the file of rows', canariesCommand));
  const ownFile = pathOf(args, 'own') ?? null;
  const kind = oneOf(args, 'kind', CANARY_KINDS) ?? (ownFile === null ? 'digits' : 'own');
  if ((kind === 'own') !== (ownFile !== null))
    throw new AppError('invalid_request', `--own FILE and --kind ${kind} do not go together.`, {
      hint: 'Kind own takes its canaries from --own; the other kinds draw them.',
    });
  if (kind === 'own' && text(args, 'count') !== undefined)
    throw new AppError('invalid_request', '--count is for canaries that are drawn; all rows of --own are planted.', {
      hint: 'Leave --count out.',
    });
  const count = integer(args, 'count', 1, COUNT_MAX) ?? 20;
  const { plantCanaries, refuseNoFile } = await import('@moraine/recipes');
  refuseNoFile(file);
  if (ownFile !== null) refuseNoFile(ownFile);
  const planted = await plantCanaries({
    ...{ file, kind, count, ownFile },
    controls: integer(args, 'controls', 0, COUNT_MAX) ?? count,
    repeat: integer(args, 'repeat', 1, 1024) ?? 1,
    seed: integer(args, 'seed', 0, 2 ** 31 - 1) ?? 0,
    out: neededPath(args, 'out', canariesCommand),
  });
  if (args.options.json === true) print(JSON.stringify(planted));
  else
    for (const line of [
      `${planted.after} rows, ${planted.after - planted.before} of them planted: ${planted.rows}`,
      `What they are: ${planted.canaries}. After training: moraine local canaries measure --canaries FILE`,
    ])
      print(line);
  return 0;
}

const COUNT_MAX = 4096;

async function measure(args: Arguments): Promise<number> {
  noMoreThan(args, 1, canariesCommand);
  refuse(args, ['out', 'kind', 'count', 'controls', 'repeat', 'seed', 'own'], 'measure');
  const isJson = args.options.json === true;
  const place = {
    baseDir: neededPath(args, 'base', canariesCommand),
    tunedDir: pathOf(args, 'adapter') ?? null,
    lambda: lambdaOf(args),
  };
  const file = neededPath(args, 'canaries', canariesCommand);
  const begun = performance.now();
  const { device, measureCanaries, openModel, readCanaries } = await import('@moraine/recipes');
  const canaries = readCanaries(file);
  const model = await openModel(place);
  const line = progressLine();
  const rows: CanaryRow[] = [];
  await measureCanaries(
    {
      model,
      canaries,
      mode: oneOf(args, 'mode', MODES) ?? 'plain',
      onProgress: (done, all) => {
        if (!isJson) line.show(`${done} of ${all} candidates`, String(Math.floor((10 * done) / all)));
      },
    },
    (row) => rows.push(row),
  );
  line.clear();
  const summary = summariseCanaries(rows);
  const seconds = Number(((performance.now() - begun) / 1000).toFixed(3));
  if (isJson)
    print(
      JSON.stringify({
        ...summary,
        kind: canaries.kind,
        canaries: rows,
        lambda: place.lambda,
        seconds,
        device: device(),
      }),
    );
  else print(memorisationTable(summary));
  return 0;
}

/** @throws AppError for an option of the other action. */
function refuse(args: Arguments, names: readonly string[], action: string): void {
  const given = names.find((name) => args.options[name] !== undefined);
  if (given === undefined) return;
  throw new AppError('invalid_request', `--${given} has no meaning for ${action}.`, { hint: `Leave --${given} out.` });
}
