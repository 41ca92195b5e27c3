import path from 'node:path';
import { AppError, type ExperimentObject, ExperimentStatus, type RouteName } from '@moraine/contract';
import { METRICS } from '@moraine/contract/experiments';
import {
  type Arguments,
  type Command,
  DATA_OPTION,
  integer,
  noMoreThan,
  number,
  oneOf,
  required,
  runAction,
  text,
} from '../args.js';
import { connect } from '../connect.js';
import { readTree, uploader, withFileIds } from '../experiment-file.js';
import { cellsView, progressView } from '../experiment-view.js';
import { PAGE_OPTIONS, printList, readPages } from '../pages.js';
import { labelled, print, table } from '../terminal.js';
import { verdictView } from '../tune/verdict-view.js';
import { showResult } from './experiments-results.js';
import { runExperiment, watchExperiment } from './experiments-run.js';

export const experimentsCommand: Command = {
  name: 'experiments',
  forms: [
    'run FILE [--dry-run] [--json]',
    'watch ID [--json]',
    'ls [--status NAME] [--limit N | --all] [--after ID] [--json]',
    'show ID [--json]',
    'table ID [--metric NAME] [--format md|csv|json] [--out FILE]',
    'curves ID [--format svg|csv|json] [--out FILE]',
    'frontier ID [--metric NAME] [--format md|svg|csv|json] [--out FILE]',
    'report ID [--metric NAME] [--format md|json] [--out FILE]',
    'verdict ID [--metric NAME] [--keep BITS] [--json]',
    'grow ID [--seed N]... [--arms FILE] [--max-runs N] [--json]',
    'pause ID [--json]',
    'resume ID [--json]',
    'cancel ID [--json]',
    'clone ID [--name NAME] [--with FILE] [--json]',
  ],
  examples: [
    'run configs/experiments/demo.yaml --dry-run',
    'run configs/experiments/demo.yaml',
    'show exp_4f2k',
    'table exp_4f2k',
    'frontier exp_4f2k --format svg --out frontier.svg',
    'report exp_4f2k --out report.md',
    'grow exp_4f2k --seed 5 --seed 6',
    'clone exp_4f2k --name longer --with changes.yaml',
  ],
  options: {
    data: DATA_OPTION,
    'dry-run': { type: 'boolean', help: 'Show arms, budgets, coverage and cost, and start nothing.' },
    status: {
      type: 'string',
      value: 'NAME',
      help: `Those of this status only: ${ExperimentStatus.options.join(', ')}.`,
    },
    metric: {
      type: 'string',
      value: 'NAME',
      help: `What tells how much was learned: ${METRICS.join(', ')}. Default: exact match where test rows have answers, loss otherwise; of a frontier loss.`,
    },
    format: { type: 'string', value: 'NAME', help: 'Form of a result: the first that is listed, or another one.' },
    out: { type: 'string', value: 'FILE', help: 'File that a result is written to, in place of the terminal.' },
    keep: {
      type: 'string',
      value: 'BITS',
      help: 'Bits per byte that may be forgotten on source rows, for verdict; default any.',
    },
    seed: { type: 'string', value: 'N', help: 'A final seed more, for grow; as often as needed.' },
    arms: { type: 'string', value: 'FILE', help: 'YAML or JSON file with `arms: […]` to add, for grow.' },
    'max-runs': { type: 'string', value: 'N', help: 'Rates that a bracket search may try now, for grow.' },
    name: { type: 'string', value: 'NAME', help: 'Name of the clone.' },
    with: { type: 'string', value: 'FILE', help: 'YAML or JSON file with the keys that the clone changes.' },
    ...PAGE_OPTIONS,
    json: { type: 'boolean', help: 'What the API answered, as JSON.' },
  },
  run: (args) =>
    runAction(args, experimentsCommand, {
      run: (given) => runExperiment(given, experimentsCommand),
      watch: (given) => watchExperiment(given, idOf(given)),
      ls: list,
      show,
      table: (given) => showResult(given, 'table', idOf(given)),
      curves: (given) => showResult(given, 'curves', idOf(given)),
      frontier: (given) => showResult(given, 'frontier', idOf(given)),
      report: (given) => showResult(given, 'report', idOf(given)),
      verdict: showVerdict,
      grow,
      pause: (given) => change(given, 'pauseExperiment'),
      resume: (given) => change(given, 'resumeExperiment'),
      cancel: (given) => change(given, 'cancelExperiment'),
      clone,
    }),
};

const idOf = (args: Arguments): string => {
  const id = required(args, 1, 'The id of the experiment', experimentsCommand);
  noMoreThan(args, 2, experimentsCommand);
  return id;
};

async function list(args: Arguments): Promise<number> {
  noMoreThan(args, 1, experimentsCommand);
  const status = oneOf(args, 'status', ExperimentStatus.options);
  const read = await readPages(args, 100, (client, page) =>
    client.call('listExperiments', { query: { status, ...page } }),
  );
  return printList(
    args,
    read,
    (all) =>
      table(
        [
          { title: 'EXPERIMENT' },
          { title: 'NAME' },
          { title: 'STATUS' },
          { title: 'BASE' },
          { title: 'RUNS', align: 'right' },
          { title: 'ARMS' },
        ],
        all.map(({ id, name, status: is, model, runs, arms }) => [
          id,
          name,
          is,
          model,
          `${runs.ended}/${runs.made}`,
          arms.join(', '),
        ]),
      ),
    status === undefined ? 'No experiments yet. Run one with `moraine experiments run FILE`.' : `None is ${status}.`,
  );
}

async function show(args: Arguments): Promise<number> {
  const params = { id: idOf(args) };
  tell(args, await connect(args).call('getExperiment', { params }));
  return 0;
}

function tell(args: Arguments, experiment: ExperimentObject): void {
  print(args.options.json ? JSON.stringify(experiment) : describe(experiment));
}

const describe = (experiment: ExperimentObject): string => {
  const { id, name, status, reason, model, runs, warnings, cloned_from: original, differences } = experiment;
  const head = labelled([
    ['experiment', `${id} (${name})`],
    ['status', status],
    ['why', reason],
    ['base', model],
    ['runs', `${runs.ended} ended of ${runs.made}; ${runs.least} to ${runs.most} in all`],
    ['clone of', original],
    ['differs in', differences?.map(differenceOf).join('; ') ?? null],
    ['not comparable', warnings.join('; ') || null],
  ]);
  return [head, '', progressView(experiment), '', cellsView(experiment)].join('\n');
};

const differenceOf = ({ key, before, after }: NonNullable<ExperimentObject['differences']>[number]): string =>
  `${key}: ${JSON.stringify(before)} → ${JSON.stringify(after)}`;

async function showVerdict(args: Arguments): Promise<number> {
  const query = { metric: oneOf(args, 'metric', METRICS), keep: number(args, 'keep', 0, 100) };
  const verdict = await connect(args).call('getExperimentVerdict', { params: { id: idOf(args) }, query });
  print(
    args.options.json
      ? JSON.stringify(verdict)
      : verdictView(verdict, verdict.next_command ? [`npx ${verdict.next_command}`] : []),
  );
  return 0;
}

async function grow(args: Arguments): Promise<number> {
  const id = idOf(args);
  const client = connect(args);
  const file = text(args, 'arms');
  const max_runs = integer(args, 'max-runs', 3, 50);
  const growth =
    file === undefined ? {} : await withFileIds(readTree(file), uploader(args, client, path.dirname(file)));
  const body = {
    ...growth,
    ...(args.repeated.seed ? { seeds: args.repeated.seed.map(seedOf) } : {}),
    ...(max_runs === undefined ? {} : { max_runs }),
  };
  tell(args, await client.call('growExperiment', { params: { id }, body }));
  return 0;
}

function seedOf(word: string): number {
  if (/^\d{1,10}$/.test(word)) return Number(word);
  throw new AppError('invalid_request', `--seed is '${word}', which is no whole number.`, { hint: 'Write --seed 5.' });
}

type Change = Extract<RouteName, 'pauseExperiment' | 'resumeExperiment' | 'cancelExperiment'>;

async function change(args: Arguments, route: Change): Promise<number> {
  const params = { id: idOf(args) };
  const experiment = await connect(args).call(route, { params });
  print(args.options.json ? JSON.stringify(experiment) : `${experiment.id}: ${experiment.status}`);
  return 0;
}

async function clone(args: Arguments): Promise<number> {
  const id = idOf(args);
  const client = connect(args);
  const file = text(args, 'with');
  const changes =
    file === undefined ? {} : await withFileIds(readTree(file), uploader(args, client, path.dirname(file)));
  const name = text(args, 'name');
  const body = { ...changes, ...(name === undefined ? {} : { name }) };
  tell(args, await client.call('cloneExperiment', { params: { id }, body }));
  return 0;
}
