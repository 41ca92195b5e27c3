import { writeFileSync } from 'node:fs';
import { AppError } from '@moraine/contract';
import { type EvaluationItem, resolveSampling, SUITES, summarise } from '@moraine/contract/suites';
import { type Arguments, type Command, integer, type Option, oneOf, text } from '../args.js';
import { progressLine } from '../progress-line.js';
import { MODES } from '../request-options.js';
import { SAMPLING_OPTIONS, samplingOf } from '../sampling-options.js';
import { summaryLines } from '../summary-view.js';
import { print } from '../terminal.js';
import { lambdaOf, neededPath, pathOf } from './options.js';

/** Options that only an evaluation by a suite has. */
export const SUITE_OPTIONS: Record<string, Option> = {
  suite: {
    type: 'string',
    value: 'NAME',
    help: `How the rows are asked and judged: ${[...SUITES.keys()].join(', ')}.`,
  },
  limit: { type: 'string', value: 'N', help: 'With --suite: no more than so many items, the first ones.' },
  seed: { type: 'string', value: 'N', help: 'With --limit: draw the items from all instead.' },
  fewshot: {
    type: 'string',
    value: 'N',
    help: 'Solved examples before each item; default: what the suite is known by.',
  },
  examples: {
    type: 'string',
    value: 'FILE',
    help: 'Rows that examples are taken from; default the first rows of the file, which are not asked then.',
  },
  ...SAMPLING_OPTIONS,
  items: { type: 'string', value: 'FILE', help: 'Write what the model gave for each item, a line of JSON each.' },
};

/** Scores the items of a suite's file. Returns the exit status. */
export async function evaluateSuite(args: Arguments, command: Command): Promise<number> {
  const isJson = args.options.json === true;
  const options = readOptions(args, command);
  const { evaluateItems, openModel, readSuite } = await import('@moraine/recipes');
  const begun = performance.now();
  const { suite, items, fewshot } = await readSuite(options);
  const sampling = resolveSampling(options.sampling, suite);
  const model = await openModel(options);
  const line = progressLine();
  const scored: EvaluationItem[] = [];
  await evaluateItems({ model, suite, items, sampling, mode: options.mode }, (item) => {
    scored.push(item);
    if (!isJson)
      line.show(`${scored.length} of ${items.length} items`, String(Math.floor((10 * scored.length) / items.length)));
  });
  line.clear();
  const out = pathOf(args, 'items');
  if (out !== undefined) writeFileSync(out, scored.map((item) => `${JSON.stringify(item)}\n`).join(''));
  const summary = summarise(suite.name, scored);
  const seconds = Number(((performance.now() - begun) / 1000).toFixed(3));
  if (isJson)
    print(JSON.stringify({ ...summary, fewshot, sampling, mode: options.mode, lambda: options.lambda, seconds }));
  else for (const row of summaryLines(summary, fewshot, sampling)) print(row);
  return 0;
}

function readOptions(args: Arguments, command: Command) {
  const [named] = args.positionals;
  if (named !== undefined && text(args, 'data') !== undefined)
    throw new AppError('invalid_request', `Two files are named: ${named} and --data ${text(args, 'data')}.`, {
      hint: 'Name one.',
    });
  const place = { ...args, options: { ...args.options, data: named ?? args.options.data } };
  const examplesFile = pathOf(args, 'examples') ?? null;
  const limit = integer(args, 'limit', 1, 2 ** 31 - 1) ?? null;
  const seed = integer(args, 'seed', 0, 2 ** 31 - 1) ?? null;
  if (seed !== null && limit === null)
    throw new AppError('invalid_request', '--seed draws items under a limit, and --limit names none.', {
      hint: 'Add --limit N, or leave --seed out.',
    });
  if (text(args, 'seq') !== undefined)
    throw new AppError('invalid_request', '--seq cuts rows of a loss; a suite has its own way with long items.', {
      hint: 'Leave --seq out.',
    });
  return {
    suite: text(args, 'suite') ?? '',
    file: neededPath(place, 'data', command),
    limit,
    seed,
    fewshot: integer(args, 'fewshot', 0, 64) ?? null,
    sampling: samplingOf(args),
    examplesFile,
    baseDir: neededPath(args, 'base', command),
    tunedDir: pathOf(args, 'adapter') ?? null,
    lambda: lambdaOf(args),
    mode: oneOf(args, 'mode', MODES) ?? 'plain',
  };
}

/** @throws AppError for options of a suite without one. */
export function refuseSuiteOptions(args: Arguments): void {
  const given = Object.keys(SUITE_OPTIONS).find((name) => args.options[name] !== undefined);
  if (given === undefined) return;
  throw new AppError('invalid_request', `--${given} is about the items of a suite, and --suite names none.`, {
    hint: `Add --suite NAME, or leave --${given} out.`,
  });
}
