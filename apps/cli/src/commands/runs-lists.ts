import type { LogLine } from '@moraine/contract';
import type { Client } from '@moraine/contract/client';
import { type Arguments, integer, text } from '../args.js';
import { connect } from '../connect.js';
import { eventLines } from '../event-lines.js';
import { printList, readPages } from '../pages.js';
import { bytes, print, table } from '../terminal.js';

/** What a list of a run prints: as the API gives it where JSON was asked for, else a line each. */
async function tell<T>(
  args: Arguments,
  read: (client: Client) => Promise<{ data: T[] }>,
  lines: (items: T[]) => string,
): Promise<number> {
  const { data } = await read(connect(args));
  if (args.options.json) print(JSON.stringify(data));
  else if (data.length > 0) print(lines(data));
  return 0;
}

const figure = (value: number | null | undefined): string => (typeof value === 'number' ? value.toFixed(4) : '');

/** The latest events, oldest first. */
export async function listEvents(args: Arguments, id: string): Promise<number> {
  const events = await readPages(args, 100, (client, query) => client.call('listRunEvents', { params: { id }, query }));
  return printList(args, events, eventLines, '');
}

export async function listCheckpoints(args: Arguments, id: string): Promise<number> {
  const read = await readPages(args, 100, (client, query) =>
    client.call('listRunCheckpoints', { params: { id }, query }),
  );
  return printList(
    args,
    read,
    (checkpoints) =>
      table(
        [
          { title: 'CHECKPOINT' },
          { title: 'STEP', align: 'right' },
          { title: 'TRAIN', align: 'right' },
          { title: 'VALID', align: 'right' },
          { title: 'SIZE', align: 'right' },
          { title: 'MODEL' },
        ],
        checkpoints.map((one) => [
          one.id,
          `${one.step_number}${one.is_best ? ' (best)' : ''}`,
          figure(one.metrics.train_loss),
          figure(one.metrics.valid_loss),
          bytes(one.bytes),
          one.fine_tuned_model_checkpoint,
        ]),
      ),
    '',
  );
}

export const listEvaluations = (args: Arguments, id: string): Promise<number> =>
  tell(
    args,
    (client) => client.call('listRunEvaluations', { params: { id } }),
    (evaluations) =>
      table(
        [
          { title: 'FILE' },
          { title: 'ROLE' },
          { title: 'STEP', align: 'right' },
          { title: 'LOSS', align: 'right' },
          { title: 'TOKENS', align: 'right' },
          { title: 'EXACT', align: 'right' },
        ],
        evaluations.map((one) => [
          one.name,
          one.role,
          String(one.step),
          figure(one.loss),
          figure(one.token_accuracy),
          figure(one.exact_match),
        ]),
      ),
  );

/** The last value of each metric; all points of it as JSON. */
export function listMetrics(args: Arguments, id: string): Promise<number> {
  const query = {
    names: text(args, 'names'),
    from: integer(args, 'from', 0, Number.MAX_SAFE_INTEGER),
    to: integer(args, 'to', 0, Number.MAX_SAFE_INTEGER),
    buckets: integer(args, 'buckets', 1, 20_000),
  };
  return tell(
    args,
    async (client) => ({ data: (await client.call('getRunMetrics', { params: { id }, query })).series }),
    (series) =>
      table(
        [{ title: 'METRIC' }, { title: 'STEP', align: 'right' }, { title: 'LAST', align: 'right' }],
        series.map(({ name, points }) => [name, String(points.at(-1)?.step ?? ''), figure(points.at(-1)?.last)]),
      ),
  );
}

/** Every log line, oldest first; as JSON each line is an object of its own, so that a long log needs no memory. */
export async function listLogs(args: Arguments, id: string): Promise<number> {
  const query = { attempt: integer(args, 'attempt', 1, Number.MAX_SAFE_INTEGER), after: 0, limit: 1000 };
  const client = connect(args);
  for (let more = true; more; ) {
    const page = await client.call('getRunLogs', { params: { id }, query });
    for (const line of page.data) print(args.options.json ? JSON.stringify(line) : logLine(line));
    query.after = page.data.at(-1)?.seq ?? query.after;
    more = page.has_more && page.data.length > 0;
  }
  return 0;
}

const logLine = ({ at, attempt, level, message }: LogLine): string =>
  `${new Date(at * 1000).toISOString()} ${String(attempt)} ${level.padEnd(5)} ${message}`;
