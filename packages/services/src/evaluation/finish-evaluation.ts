import { AppError } from '@moraine/contract';
import { type EvaluationItem, type EvaluationSummary, metricOf, summarise } from '@moraine/contract/suites';
import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import { finishTask } from '../work/finish-task.js';
import type { NewEvent } from '../work/record-event.js';

/**
 * Ends the evaluation `succeeded` with what its stored items come to, or `cancelled` when that was asked for. Sending it twice is safe.
 * @throws AppError `stale_attempt`; `internal` when items are missing.
 */
export const finishEvaluation = (s: Services, token: AttemptToken): Promise<void> =>
  finishTask(s, token, 'succeeded', async (client, outcome) => {
    if (outcome === 'cancelled') return CANCELLED;
    const summary = await summariseStored(client, token.taskId);
    await client.query('UPDATE evaluation_tasks SET summary = $2::jsonb WHERE id = $1', [
      token.taskId,
      JSON.stringify(summary),
    ]);
    return { level: 'info', message: `The evaluation succeeded: ${sayFigure(summary)}`, data: { n: summary.n } };
  });

/** The evaluation was asked to stop. @throws AppError `stale_attempt`. */
export const cancelEvaluating = (s: Services, token: AttemptToken): Promise<void> =>
  finishTask(s, token, 'cancelled', async () => CANCELLED);

const CANCELLED: NewEvent = { level: 'info', message: 'The evaluation was cancelled' };

async function summariseStored(client: pg.PoolClient, id: string): Promise<EvaluationSummary> {
  const [{ rows: tasks }, { rows: items }] = [
    await client.query<{ suite: string; total: number | null }>(
      'SELECT suite, total FROM evaluation_tasks WHERE id = $1',
      [id],
    ),
    await client.query<Pick<EvaluationItem, 'metrics' | 'choices'>>(
      'SELECT metrics, choices FROM evaluation_items WHERE evaluation_id = $1 ORDER BY index',
      [id],
    ),
  ];
  const [task] = tasks;
  if (!task || items.length === 0 || items.length !== task.total)
    throw new AppError('internal', `${items.length} of ${task?.total ?? '?'} items of ${id} are stored.`);
  return summarise(task.suite, items);
}

function sayFigure({ metric, metrics, n }: EvaluationSummary): string {
  const value = metrics[metric]?.value;
  if (value === undefined) return `no ${metric} of ${n} items`;
  const figure = metricOf(metric)?.unit === 'share' ? `${(100 * value).toFixed(2)} %` : value.toFixed(4);
  return `${metric} ${figure} on ${n} items`;
}
