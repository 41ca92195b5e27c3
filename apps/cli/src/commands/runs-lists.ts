import type { Client } from '@moraine/contract/client';
import type { Arguments } from '../args.js';
import { connect } from '../connect.js';
import { bytes, paint, print, table } from '../terminal.js';

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

const timeOf = (seconds: number): string => new Date(seconds * 1_000).toISOString().replace('.000Z', 'Z');
const figure = (value: number | null | undefined): string => (typeof value === 'number' ? value.toFixed(4) : '');

/** The latest events, oldest first. */
export const listEvents = (args: Arguments, id: string, limit: number): Promise<number> =>
  tell(
    args,
    (client) => client.call('listRunEvents', { params: { id }, query: { limit } }),
    (events) =>
      events
        .toReversed()
        .map(({ created_at, level, message }) => {
          const words = level === 'info' ? message : paint(level === 'warn' ? 'yellow' : 'red', message);
          return `${paint('dim', timeOf(created_at))} ${words}`;
        })
        .join('\n'),
  );

export const listCheckpoints = (args: Arguments, id: string, limit: number): Promise<number> =>
  tell(
    args,
    (client) => client.call('listRunCheckpoints', { params: { id }, query: { limit } }),
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
  );

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
export const listMetrics = (args: Arguments, id: string): Promise<number> =>
  tell(
    args,
    async (client) => ({ data: (await client.call('getRunMetrics', { params: { id } })).series }),
    (series) =>
      table(
        [{ title: 'METRIC' }, { title: 'STEP', align: 'right' }, { title: 'LAST', align: 'right' }],
        series.map(({ name, points }) => [name, String(points.at(-1)?.step ?? ''), figure(points.at(-1)?.last)]),
      ),
  );
