import { type AnalysisRow, type AnalysisTaskObject, RunStatus } from '@moraine/contract';
import type { CanaryRow } from '@moraine/contract/analyses';
import {
  type Arguments,
  type Command,
  DATA_OPTION,
  integer,
  noMoreThan,
  oneOf,
  required,
  runAction,
  text,
} from '../args.js';
import { connect } from '../connect.js';
import { eventLines } from '../event-lines.js';
import { layerTable } from '../local/lab-view.js';
import { PAGE_OPTIONS, printList, readPages } from '../pages.js';
import { labelled, print, printError, table } from '../terminal.js';
import { showCourse } from './analyses-course.js';
import { ANALYSIS_OPTIONS, createAnalysis } from './analyses-create.js';
import { endOf, watchAnalysis } from './analyses-watch.js';

export const analysesCommand: Command = {
  name: 'analyses',
  forms: [
    'create --kind weights --model NAME [--lambda L] [--layers TEXT] [--k N] [--epsilon E] [--seed N] [--watch] [--json]',
    'create --kind canaries --model NAME --file FILE [--lambda L] [--watch] [--json]',
    'watch ANALYSIS [--json]',
    'ls [--model NAME] [--run RUN] [--kind NAME] [--status NAME] [--limit N | --all] [--after ID] [--json]',
    'show ANALYSIS [--json]',
    'rows ANALYSIS [--limit N | --all] [--after INDEX] [--json]',
    'course RUN [--kind NAME] [--analysis ID] [--format md|svg|csv|json] [--out FILE]',
    'events ANALYSIS [--limit N | --all] [--after ID] [--json]',
    'cancel ANALYSIS [--json]',
  ],
  examples: [
    'create --kind weights --model ft:moraine-tiny:default::4f2k9x1c --layers mlp --watch',
    'create --kind canaries --model ft:moraine-tiny:default::4f2k9x1c --file planted/canaries.json --watch',
    'ls --run ftjob-4f2k --kind weights',
    'rows analysis_4f2k --all --json',
    'course ftjob-4f2k --format svg --out course.svg',
  ],
  options: {
    data: DATA_OPTION,
    json: { type: 'boolean', help: 'What is printed, as the API describes it, as JSON; rows with singular values.' },
    ...ANALYSIS_OPTIONS,
    ...PAGE_OPTIONS,
    watch: { type: 'boolean', help: 'Wait until it has ended, and print its figures.' },
    run: { type: 'string', value: 'RUN', help: 'Analyses of checkpoints and results of this run only.' },
    status: { type: 'string', value: 'NAME', help: 'Analyses of this status only.' },
    analysis: {
      type: 'string',
      value: 'ID',
      help: 'Settings of a course: those of this analysis. Default: those that measured the most checkpoints.',
    },
    format: { type: 'string', value: 'NAME', help: 'Form of a course: the first that is listed, or another one.' },
    out: { type: 'string', value: 'FILE', help: 'File that a course is written to, in place of the terminal.' },
  },
  run: (args) =>
    runAction(args, analysesCommand, {
      create: (given) => {
        noMoreThan(given, 1, analysesCommand);
        return createAnalysis(given, analysesCommand);
      },
      watch: (given) => watchAnalysis(given, idOf(given)),
      ls: list,
      show,
      rows,
      course: (given) => showCourse(given, analysesCommand),
      events,
      cancel,
    }),
};

function idOf(args: Arguments): string {
  const id = required(args, 1, 'The id of the analysis', analysesCommand);
  noMoreThan(args, 2, analysesCommand);
  return id;
}

async function list(args: Arguments): Promise<number> {
  noMoreThan(args, 1, analysesCommand);
  const filters = {
    model: text(args, 'model'),
    run: text(args, 'run'),
    kind: oneOf(args, 'kind', ['weights', 'canaries'] as const),
    status: oneOf(args, 'status', RunStatus.options),
  };
  const read = await readPages(args, 100, (client, page) =>
    client.call('listAnalyses', { query: { ...filters, ...page } }),
  );
  const isFiltered = Object.values(filters).some((filter) => filter !== undefined);
  return printList(args, read, listTable, isFiltered ? 'No analyses match.' : 'No analyses yet.');
}

const listTable = (analyses: AnalysisTaskObject[]): string =>
  table(
    [
      { title: 'ANALYSIS' },
      { title: 'STATUS' },
      { title: 'KIND' },
      { title: 'ROWS', align: 'right' },
      { title: 'STEP', align: 'right' },
      { title: 'MODEL' },
    ],
    analyses.map(({ id, status, ask, progress, tuned, model }) => [
      id,
      status,
      ask.kind,
      `${progress.rows}/${progress.total ?? '?'}`,
      String(tuned?.step ?? ''),
      model,
    ]),
  );

async function show(args: Arguments): Promise<number> {
  const analysis = await connect(args).call('getAnalysis', { params: { id: idOf(args) } });
  if (args.options.json) {
    print(JSON.stringify(analysis));
    return 0;
  }
  const { tuned, progress, state_reason: why, ask, error, attempts } = analysis;
  const { kind, ...settings } = ask;
  print(
    labelled([
      ['analysis', analysis.id],
      ['status', analysis.status],
      ['why', why?.message ?? error?.message ?? null],
      ['model', analysis.model],
      ['base', analysis.base],
      ['adapter', tuned && `sha256 ${tuned.sha256}${tuned.step === null ? '' : `, step ${tuned.step}`}`],
      ['lambda', tuned && String(analysis.lambda)],
      ['kind', kind],
      ...Object.entries(settings).map(([key, value]): [string, string | null] => [
        key,
        value === null ? null : String(value),
      ]),
      ['rows', progress.total === null ? null : `${progress.rows} of ${progress.total}`],
      ['attempts', attempts.map(({ attempt, status }) => `${attempt} ${status}`).join(', ')],
    ]),
  );
  if (analysis.summary !== null) for (const row of endOf(analysis).slice(1)) print(row);
  return 0;
}

const PAGE = 1000;
/** With all singular values. */
const WHOLE_PAGE = 100;
const PRESET = 100;

/** What was measured, in the order of the rows: as JSON an object a line. */
async function rows(args: Arguments): Promise<number> {
  const id = idOf(args);
  const most = args.options.all ? Number.POSITIVE_INFINITY : (integer(args, 'limit', 1, 2 ** 31 - 1) ?? PRESET);
  let after = integer(args, 'after', 0, 2 ** 31 - 1);
  const client = connect(args);
  const { json } = args.options;
  let count = 0;
  for (let more = true; more && count < most; ) {
    const query = {
      after,
      limit: Math.min(json ? WHOLE_PAGE : PAGE, most - count),
      ...(json ? { include: 'singular_values' as const } : {}),
    };
    const page = await client.call('listAnalysisRows', { params: { id }, query });
    if (json) for (const row of page.data) print(JSON.stringify(row));
    else if (page.data.length > 0) print(rowTable(page.data));
    count += page.data.length;
    after = page.data.at(-1)?.index ?? after;
    more = page.has_more;
    if (more && count >= most && !json) printError(`There are more: --all lists every one, --after ${after} goes on.`);
  }
  return 0;
}

/** The rows of an analysis are all of layers, or all of canaries. */
function rowTable(all: readonly AnalysisRow[]): string {
  const layers = all.flatMap(({ row }) => ('layer' in row ? [row] : []));
  if (layers.length > 0) return layerTable(layers);
  return canaryTable(all.flatMap(({ row }) => ('layer' in row ? [] : [row])));
}

const canaryTable = (canaries: readonly CanaryRow[]): string =>
  table(
    [
      { title: 'canary' },
      { title: 'rank', align: 'right' },
      { title: 'exposure, bits', align: 'right' },
      { title: 'characters', align: 'right' },
      { title: 'answer' },
    ],
    canaries.map(({ id, rank, candidates, exposure, characters, is_extracted, answer }) => [
      id,
      `${rank} of ${candidates}`,
      exposure.toFixed(2),
      is_extracted ? 'all' : `${(100 * characters).toFixed(0)} %`,
      answer.slice(0, 60).replaceAll('\n', '⏎'),
    ]),
  );

/** The latest events, oldest first. */
async function events(args: Arguments): Promise<number> {
  const id = idOf(args);
  const read = await readPages(args, 100, (client, query) =>
    client.call('listAnalysisEvents', { params: { id }, query }),
  );
  return printList(args, read, eventLines, '');
}

async function cancel(args: Arguments): Promise<number> {
  const analysis = await connect(args).call('cancelAnalysis', { params: { id: idOf(args) } });
  print(args.options.json ? JSON.stringify(analysis) : `${analysis.id}: ${analysis.state ?? analysis.status}`);
  return 0;
}
