import type { ItemScores, ResultMetric } from '@moraine/contract/experiments';
import { type EvaluationItem, perItem } from '@moraine/contract/suites';
import { ITEMS_MAX, itemsWith } from '../evaluation/compare-evaluations.js';
import type { Services } from '../ground/context.js';
import type { ExperimentRow } from './experiment-row.js';

/** How suites call what results tell. */
const suiteMetric = (metric: ResultMetric): string => (metric === 'loss' ? 'nats_per_token' : metric);

/**
 * What a run at a share of its update and its base got for each test row, in the metric's unit and in the order of the rows, so that their means are the figures. Null where either
 * was not scored item by item, or there are more items than a bootstrap here is for.
 */
export async function loadItemScores(
  s: Services,
  { id, request }: ExperimentRow,
  { run_id, lambda }: { run_id: string; lambda: number },
  metric: ResultMetric,
): Promise<ItemScores | null> {
  const { test: fileId } = request.evaluation;
  if (fileId === undefined) return null;
  const of = { experimentId: id, fileId, task: { status: 'succeeded' } };
  const [tuned, base] = await Promise.all([
    s.db.evaluationTask.findFirst({ where: { ...of, runId: run_id, lambda } }),
    s.db.evaluationTask.findFirst({ where: { ...of, runId: null } }),
  ]);
  if (tuned === null || base === null || tuned.itemsSha256 !== base.itemsSha256) return null;
  const name = suiteMetric(metric);
  const [ours, theirs] = itemsWith(name, ...(await Promise.all([measuredOf(s, tuned.id), measuredOf(s, base.id)])));
  if (ours.length === 0 || ours.length > ITEMS_MAX) return null;
  return { run_id, tuned: perItem(name, ours), base: perItem(name, theirs) };
}

async function measuredOf(s: Services, evaluationId: string): Promise<Pick<EvaluationItem, 'metrics'>[]> {
  const rows = await s.db.scoredItem.findMany({
    where: { evaluationId },
    select: { metrics: true },
    orderBy: { index: 'asc' },
  });
  return rows.map(({ metrics }) => ({ metrics: metrics as EvaluationItem['metrics'] }));
}
