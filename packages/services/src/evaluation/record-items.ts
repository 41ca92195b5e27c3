import { AppError, type AttemptEvent, newId } from '@moraine/contract';
import type { EvaluationItem } from '@moraine/contract/suites';
import type { AttemptToken, Services } from '../ground/context.js';
import { notify } from '../ground/publish.js';
import { storable } from '../ground/storable.js';
import { underToken } from '../work/fence.js';
import { markTaskRunning, startTask } from '../work/start-task.js';

type Evaluating = Extract<AttemptEvent, { type: 'evaluating' }>;

/** The attempt begins after the items that are stored. @throws AppError `stale_attempt`. */
export const startEvaluation = (s: Services, token: AttemptToken, done: number): Promise<void> =>
  startTask(s, token, { startStep: done });

/** The child has read the items and scores them now. @throws AppError `stale_attempt`. */
export async function markEvaluating(
  s: Services,
  token: AttemptToken,
  { type: _, at: __, ...data }: Evaluating,
  eventId: string = newId('event'),
): Promise<void> {
  const { device, from, total, itemsSha256, fewshot } = data;
  const where = `${device.name} (TensorFlow ${device.tensorflow}, ${device.threads} threads)`;
  const message =
    from > 0
      ? `The evaluation goes on after item ${from} of ${total} on ${where}`
      : `The evaluation starts: ${total} items on ${where}`;
  await markTaskRunning(s, token, { id: eventId, level: 'info', message, data }, async (client) => {
    await client.query('UPDATE evaluation_tasks SET total = $2, items_sha256 = $3, fewshot = $4 WHERE id = $1', [
      token.taskId,
      total,
      itemsSha256,
      fewshot,
    ]);
  });
}

/**
 * Stores scored items, which follow those that are stored, and tells followers. An item that is there already stays as it is, so sending them twice is safe.
 * @throws AppError `stale_attempt`; `internal` when there is a hole before them.
 */
export async function recordItems(s: Services, token: AttemptToken, items: readonly EvaluationItem[]): Promise<void> {
  const data = await underToken(s, token, async (client) => {
    const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? -1];
    const { rows: stored } = await client.query<{ items: number; total: number | null }>(
      'UPDATE evaluation_tasks SET done = greatest(done, $3) WHERE id = $1 AND done >= $2 RETURNING done AS items, total',
      [token.taskId, first, last + 1],
    );
    const [progress] = stored;
    if (!progress) throw new AppError('internal', `Items from ${first} on came before those in front of them.`);
    const rows = items.map(({ id, ...item }) => storable({ ...item, item_id: id }));
    await client.query(
      `INSERT INTO evaluation_items (evaluation_id, index, item_id, prompt, choices, scores, answer, expected, metrics, verdict, problem, samples)
       SELECT $1, i.* FROM json_to_recordset($2::json) AS i(index int, item_id text, prompt text, choices jsonb, scores jsonb, answer text,
         expected text, metrics jsonb, verdict text, problem text, samples jsonb)
       ON CONFLICT (evaluation_id, index) DO NOTHING`,
      [token.taskId, JSON.stringify(rows)],
    );
    return progress;
  });
  await notify(s, token.taskId, [{ event: 'progress', data }], token.attempt);
}
