import { type EvaluationTaskObject, RunStatus } from '@moraine/contract';
import type { EvaluationItem } from '@moraine/contract/suites';
import { type Arguments, integer, oneOf, text } from '../args.js';
import { connect } from '../connect.js';
import { eventLines } from '../event-lines.js';
import { printList, readPages } from '../pages.js';
import { figureOf } from '../summary-view.js';
import { print, printError, table } from '../terminal.js';

export async function listEvaluations(args: Arguments): Promise<number> {
  const filters = {
    model: text(args, 'model'),
    suite: text(args, 'suite'),
    run: text(args, 'run'),
    status: oneOf(args, 'status', RunStatus.options),
  };
  const read = await readPages(args, 100, (client, page) =>
    client.call('listEvaluationTasks', { query: { ...filters, ...page } }),
  );
  const isFiltered = Object.values(filters).some((filter) => filter !== undefined);
  return printList(args, read, tableOf, isFiltered ? 'No evaluations match.' : 'No evaluations yet.');
}

const tableOf = (evaluations: EvaluationTaskObject[]): string =>
  table(
    [
      { title: 'EVALUATION' },
      { title: 'STATUS' },
      { title: 'SUITE' },
      { title: 'ITEMS', align: 'right' },
      { title: 'FIGURE', align: 'right' },
      { title: 'MODEL' },
      { title: 'LAMBDA', align: 'right' },
    ],
    evaluations.map(({ id, status, suite, progress, summary, model, tuned, lambda }) => [
      id,
      status,
      suite,
      `${progress.items}/${progress.total ?? '?'}`,
      shownFigure(summary),
      model,
      tuned === null ? '' : String(lambda),
    ]),
  );

function shownFigure(summary: EvaluationTaskObject['summary']): string {
  const figure = summary?.metrics[summary.metric];
  return summary && figure ? figureOf(summary.metric, figure.value) : '';
}

const PAGE = 1000;
/** Of items with every sample. */
const WHOLE_PAGE = 100;
const PRESET = 20;

/** What the model gave for each item, in their order: as JSON an object a line, so that many need no memory. */
export async function listItems(args: Arguments, id: string): Promise<number> {
  const most = args.options.all ? Number.POSITIVE_INFINITY : (integer(args, 'limit', 1, 2 ** 31 - 1) ?? PRESET);
  const verdict = oneOf(args, 'verdict', ['right', 'wrong'] as const);
  const include = args.options['all-samples'] ? ('samples' as const) : undefined;
  let after = integer(args, 'after', 0, 2 ** 31 - 1);
  const client = connect(args);
  let count = 0;
  for (let more = true; more && count < most; ) {
    const query = { verdict, include, after, limit: Math.min(include ? WHOLE_PAGE : PAGE, most - count) };
    const page = await client.call('listEvaluationItems', { params: { id }, query });
    for (const item of page.data) print(args.options.json ? JSON.stringify(item) : itemLines(item));
    count += page.data.length;
    after = page.data.at(-1)?.index ?? after;
    more = page.has_more;
    if (more && count >= most && !args.options.json)
      printError(`There are more: --all lists every one, --after ${after} goes on.`);
  }
  return 0;
}

const cut = (words: string): string => (words.length > 200 ? `${words.slice(0, 199)}…` : words).replaceAll('\n', '⏎');

/** An item as text. */
export function itemLines({
  index,
  id,
  prompt,
  answer,
  expected,
  verdict,
  metrics,
  problem,
  samples = [],
}: EvaluationItem): string {
  const figures = Object.entries(metrics).map(([name, value]) => `${name} ${Number(value.toPrecision(6))}`);
  const said = [
    answer === null ? [] : `  answer    ${cut(answer)}`,
    expected === null ? [] : `  expected  ${cut(expected)}`,
    problem === undefined ? [] : `  problem   ${cut(problem)}`,
    samples.map((sample) => `  ${sample.verdict.padEnd(8)}  ${cut(sample.answer)}`),
  ];
  return [
    `${index}  ${id}  ${verdict ?? ''}`.trimEnd(),
    `  prompt    ${cut(prompt)}`,
    ...said.flat(),
    `  ${figures.join(', ')}`,
  ].join('\n');
}

/** The latest events, oldest first. */
export async function listEvaluationEvents(args: Arguments, id: string): Promise<number> {
  const events = await readPages(args, 100, (client, query) =>
    client.call('listEvaluationEvents', { params: { id }, query }),
  );
  return printList(args, events, eventLines, '');
}
