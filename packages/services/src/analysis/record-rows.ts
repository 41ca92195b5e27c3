import { AppError, type AttemptEvent, newId } from '@moraine/contract';
import type { AttemptToken, Services } from '../ground/context.js';
import { storable } from '../ground/storable.js';
import { underToken } from '../work/fence.js';
import { markTaskRunning, startTask } from '../work/start-task.js';

type Analysing = Extract<AttemptEvent, { type: 'analysing' }>;
type Rows = Extract<AttemptEvent, { type: 'analysis_rows' }>['rows'];

/** The attempt begins after the rows that are stored. @throws AppError `stale_attempt`. */
export const startAnalysis = (s: Services, token: AttemptToken, done: number): Promise<void> =>
  startTask(s, token, { startStep: done });

/** The child has opened the model and measures now. @throws AppError `stale_attempt`. */
export async function markAnalysing(
  s: Services,
  token: AttemptToken,
  { type: _, at: __, ...data }: Analysing,
  eventId: string = newId('event'),
): Promise<void> {
  const { device, from, total, others } = data;
  const where = `${device.name} (TensorFlow ${device.tensorflow}, ${device.threads} threads)`;
  const begins =
    from > 0
      ? `The analysis goes on after row ${from} of ${total} on ${where}`
      : `The analysis starts: ${total} rows on ${where}`;
  const left = others > 0 ? `; ${others} more weights (norms, embeddings, head) are not measured` : '';
  await markTaskRunning(s, token, { id: eventId, level: 'info', message: begins + left, data }, async (client) => {
    await client.query('UPDATE analysis_tasks SET total = $2 WHERE id = $1', [token.taskId, total]);
  });
}

/**
 * Stores measured rows, which follow those that are stored. A row that is there already stays as it is, so sending them twice is safe.
 * @throws AppError `stale_attempt`; `internal` when there is a hole before them.
 */
export const recordRows = (s: Services, token: AttemptToken, rows: Rows): Promise<void> =>
  underToken(s, token, async (client) => {
    const [first, last] = [rows[0]?.index ?? 0, rows.at(-1)?.index ?? -1];
    const { rowCount } = await client.query(
      'UPDATE analysis_tasks SET done = greatest(done, $3) WHERE id = $1 AND done >= $2',
      [token.taskId, first, last + 1],
    );
    if (rowCount !== 1) throw new AppError('internal', `Rows from ${first} on came before those in front of them.`);
    const stored = rows.map(({ index, row }) => {
      if (!('layer' in row)) return { index, row: storable(row), values: [] };
      const { singular_values: values, ...figures } = row;
      return { index, row: figures, values };
    });
    await client.query(
      `INSERT INTO analysis_rows (analysis_id, index, row, singular_values)
       SELECT $1, r.* FROM json_to_recordset($2::json) AS r(index int, row jsonb, "values" float8[])
       ON CONFLICT (analysis_id, index) DO NOTHING`,
      [token.taskId, JSON.stringify(stored)],
    );
  });
