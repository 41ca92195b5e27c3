import { existsSync } from 'node:fs';
import path from 'node:path';
import { AppError } from '@moraine/contract';
import { summariseWeights, type WeightRow } from '@moraine/contract/analyses';
import { type Arguments, type Command, integer, noMoreThan, number, text } from '../args.js';
import { progressLine } from '../progress-line.js';
import { print, printError } from '../terminal.js';
import { curveTable, layerTable, summaryTable, weightsCsv } from './lab-view.js';
import { ADAPTER_OPTION, BASE_OPTION, JSON_OPTION, LAMBDA_OPTION, neededPath } from './options.js';
import { checkpointsIn } from './out-folder.js';

export const labCommand: Command = {
  name: 'local lab',
  forms: [
    '--base DIR --adapter DIR… [--checkpoint DIR…] [--lambda L] [--layers TEXT] [--k N] [--epsilon E] [--seed N] [--json | --csv]',
  ],
  options: {
    base: BASE_OPTION,
    adapter: {
      ...ADAPTER_OPTION,
      help: `${ADAPTER_OPTION.help} Or a tuned model of the base’s shape, or the folder of a \`local train\`. Several times to compare.`,
    },
    checkpoint: {
      type: 'string',
      value: 'DIR',
      help: 'A checkpoint, or the folder of a `local train`: all of its checkpoints, the course over training.',
    },
    lambda: LAMBDA_OPTION,
    layers: { type: 'string', value: 'TEXT', help: 'Only layers whose name holds it, e.g. mlp or layers.0.' },
    k: { type: 'string', value: 'N', help: 'Directions of each matrix that are compared; default 10.' },
    epsilon: {
      type: 'string',
      value: 'E',
      help: 'A direction is an intruder where its cosine to each of the base’s is below it; default 0.5.',
    },
    seed: { type: 'string', value: 'N', help: 'Of the numbers of the control; default 0.' },
    json: JSON_OPTION,
    csv: { type: 'boolean', help: 'A line of CSV for each layer on standard output.' },
  },
  run: async (args) => {
    noMoreThan(args, 0, labCommand);
    const options = readOptions(args);
    const isMachine = args.options.json === true || args.options.csv === true;
    const begun = performance.now();
    const { analyseWeights, device } = await import('@moraine/recipes');
    const line = progressLine();
    const rows: WeightRow[] = [];
    let expected = 0;
    await analyseWeights(
      options,
      (row) => {
        rows.push(row);
        if (!isMachine)
          line.show(`${rows.length} of ${expected} weights`, String(Math.floor((10 * rows.length) / expected)));
      },
      ({ rows: count, others }) => {
        expected = count;
        for (const [name, left] of others)
          if (left > 0) printError(`${name}: ${left} more weights (norms, embeddings, head) are not measured.`);
      },
    );
    line.clear();
    const seconds = Number(((performance.now() - begun) / 1000).toFixed(3));
    if (args.options.json === true)
      print(JSON.stringify({ layers: rows, summary: summariseWeights(rows), seconds, device: device() }));
    else if (args.options.csv === true) print(weightsCsv(rows));
    else for (const part of describe(rows)) print(part);
    return 0;
  },
};

function readOptions(args: Arguments) {
  if (args.options.json === true && args.options.csv === true)
    throw new AppError('invalid_request', '--json and --csv are two forms of one answer.', { hint: 'Write one.' });
  const baseDir = neededPath(args, 'base', labCommand);
  const adapters = (args.repeated.adapter ?? []).map((dir) => path.resolve(dir));
  const checkpoints = (args.repeated.checkpoint ?? []).flatMap((dir) => checkpointDirs(path.resolve(dir)));
  if (adapters.length + checkpoints.length === 0)
    throw new AppError('invalid_request', 'Nothing is named whose change could be measured.', {
      hint: 'Write --adapter DIR, --checkpoint DIR or both.',
    });
  const part = text(args, 'layers');
  return {
    baseDir,
    dirs: [...checkpoints, ...adapters],
    lambda: number(args, 'lambda', 0, 1) ?? 1,
    k: integer(args, 'k', 1, 1024) ?? 10,
    epsilon: number(args, 'epsilon', 0, 1) ?? 0.5,
    seed: integer(args, 'seed', 0, 2 ** 31 - 1) ?? 0,
    isWanted: (layer: string) => part === undefined || layer.includes(part),
  };
}

/** A checkpoint, or every checkpoint of a run's folder, oldest first. */
function checkpointDirs(dir: string): string[] {
  if (existsSync(path.join(dir, 'state.json'))) return [dir];
  const all = checkpointsIn(dir);
  if (all.length > 0) return all;
  throw new AppError('not_found', `${dir} is no checkpoint and holds none: state.json and checkpoints/ are missing.`, {
    param: 'checkpoint',
    hint: 'Name a folder such as my-run/checkpoints/step-00000100, or the run’s own.',
  });
}

/** Every layer where there is one source; means by kind of layer; the curve over ε. */
function describe(rows: readonly WeightRow[]): string[] {
  const summary = summariseWeights(rows);
  const [first] = rows;
  const isOne = rows.every(({ source }) => source === first?.source);
  const k = first?.cosines.length ?? 0;
  return [
    ...(isOne ? [layerTable(rows), ''] : []),
    summaryTable(summary),
    '',
    `In brackets: normal numbers of the same norm. Intruders: of ${k} directions, those whose cosine to each of the base’s is below ${first?.epsilon}. By ε:`,
    '',
    curveTable(summary),
  ];
}
