import { RUN_SORTS, type RunObject, RunOrder, RunStatus, type RunSummary } from '@moraine/contract';
import { type Arguments, type Option, oneOf, text } from '../args.js';
import { metadataOf } from '../metadata-option.js';
import { printList, readPages } from '../pages.js';
import { paint, table } from '../terminal.js';

export const LIST_OPTIONS = {
  status: { type: 'string', value: 'NAME', help: `Runs of this status only: ${RunStatus.options.join(', ')}.` },
  metadata: {
    type: 'string',
    value: 'PAIR',
    help: 'Runs with this pair of metadata only, key=value; as often as needed, all must be there.',
  },
  search: {
    type: 'string',
    value: 'TERMS',
    help: 'Runs that match all terms: a word, field:part (name, id, base, method, status, state, pool), lr<1e-3, rank>=8, key=value of the metadata.',
  },
  deleted: {
    type: 'boolean',
    help: 'Deleted runs, with the time until which each can be restored, in place of the others.',
  },
  sort: {
    type: 'string',
    value: 'NAME',
    help: `Order: ${RUN_SORTS.join(', ')}; -name turns it around. Default -created, the newest first.`,
  },
} satisfies Record<string, Option>;

const COLOUR = { succeeded: 'green', failed: 'red', cancelled: 'yellow', running: 'cyan' } as const;
export const statusOf = ({ status, state }: Pick<RunObject, 'status' | 'state'>): string => {
  const words = state ? `${status} (${state})` : status;
  return status in COLOUR ? paint(COLOUR[status as keyof typeof COLOUR], words) : words;
};

/** Runs that match, in the order that was asked for. As JSON they are those of the API's list of jobs where nothing is searched for or sorted, else rows of `GET /v1/runs`. */
export async function listRuns(args: Arguments): Promise<number> {
  const [sort, q] = [oneOf(args, 'sort', RunOrder.options), text(args, 'search')];
  const filters = { status: oneOf(args, 'status', RunStatus.options), metadata: metadataOf(args) };
  const deleted = args.options.deleted ? 'true' : undefined;
  if (args.options.json && !deleted && sort === undefined && q === undefined) {
    const runs = await readPages(args, 100, (client, page) =>
      client.call('listRuns', { query: { ...filters, ...page } }),
    );
    return printList(args, runs, () => '', '');
  }
  const rows = await readPages(args, 200, (client, page) =>
    client.call('searchRuns', { query: { ...filters, sort, q, deleted, ...page } }),
  );
  const isFiltered = [...Object.values(filters), q, deleted].some((filter) => filter !== undefined);
  return printList(args, rows, tableOf, isFiltered ? 'No runs match.' : 'No runs yet.');
}

const timeOf = (seconds: number | null): string =>
  seconds === null ? '' : new Date(seconds * 1_000).toISOString().replace('.000Z', 'Z');

const tableOf = (runs: RunSummary[]): string =>
  table(
    [
      { title: 'RUN' },
      { title: 'STATUS' },
      { title: 'MODEL' },
      { title: 'METHOD' },
      { title: 'STEP', align: 'right' },
      { title: 'LOSS', align: 'right' },
      { title: 'NAME' },
      ...(runs.some(({ deletion }) => deletion) ? [{ title: 'RESTORABLE UNTIL' }] : []),
    ],
    runs.map(({ id, model, method, progress, name, ...run }) => [
      id,
      statusOf(run),
      model,
      [method.name, method.kind, method.rank && `r${method.rank}`].filter(Boolean).join(' '),
      `${progress.step}/${progress.steps}`,
      progress.train_loss?.toFixed(4) ?? '',
      name === id ? '' : name,
      ...(run.deletion ? [timeOf(run.deletion.restorable_until)] : []),
    ]),
  );
