import { type AnalysisSummary, AppError } from '@moraine/contract';
import { type CanaryRow, summariseCanaries, summariseWeights, type WeightRow } from '@moraine/contract/analyses';
import type pg from 'pg';
import type { AttemptToken, Services } from '../ground/context.js';
import { finishTask } from '../work/finish-task.js';
import type { NewEvent } from '../work/record-event.js';

/**
 * Ends the analysis `succeeded` with what its stored rows come to, or `cancelled` when that was asked for. Sending it twice is safe.
 * @throws AppError `stale_attempt`; `internal` when rows are missing.
 */
export const finishAnalysis = (s: Services, token: AttemptToken): Promise<void> =>
  finishTask(s, token, 'succeeded', async (client, outcome) => {
    if (outcome === 'cancelled') return CANCELLED;
    const summary = await summariseStored(client, token.taskId);
    await client.query('UPDATE analysis_tasks SET summary = $2::jsonb WHERE id = $1', [
      token.taskId,
      JSON.stringify(summary),
    ]);
    return { level: 'info', message: `The analysis succeeded: ${sayFigure(summary)}` };
  });

/** The analysis was asked to stop. @throws AppError `stale_attempt`. */
export const cancelAnalysing = (s: Services, token: AttemptToken): Promise<void> =>
  finishTask(s, token, 'cancelled', async () => CANCELLED);

const CANCELLED: NewEvent = { level: 'info', message: 'The analysis was cancelled' };

async function summariseStored(client: pg.PoolClient, id: string): Promise<AnalysisSummary> {
  const { rows: tasks } = await client.query<{ kind: AnalysisSummary['kind']; total: number | null }>(
    'SELECT kind, total FROM analysis_tasks WHERE id = $1',
    [id],
  );
  const { rows } = await client.query<{ row: unknown }>(
    'SELECT row FROM analysis_rows WHERE analysis_id = $1 ORDER BY index',
    [id],
  );
  const [task] = tasks;
  if (!task || rows.length === 0 || rows.length !== task.total)
    throw new AppError('internal', `${rows.length} of ${task?.total ?? '?'} rows of ${id} are stored.`);
  const measured = rows.map(({ row }) => row);
  return task.kind === 'weights'
    ? { kind: 'weights', modules: summariseWeights(measured as Omit<WeightRow, 'singular_values'>[]) }
    : { kind: 'canaries', ...summariseCanaries(measured as CanaryRow[]) };
}

function sayFigure(summary: AnalysisSummary): string {
  if (summary.kind === 'canaries') {
    const { planted, ceiling } = summary;
    return `exposure ${planted.exposure.mean.toFixed(2)} of ${ceiling} bits, ${planted.extracted.count} of ${planted.n} canaries written whole`;
  }
  const layers = summary.modules.reduce((sum, each) => sum + each.layers, 0);
  return `${layers} layers of ${summary.modules.length} kinds`;
}
