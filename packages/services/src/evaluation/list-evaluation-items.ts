import type { EvaluationItem } from '@moraine/contract/suites';
import type { Actor, Services } from '../ground/context.js';
import { requireTask } from '../work/require-task.js';
import { toItem } from './item-row.js';

export interface ListEvaluationItems {
  limit: number;
  /** `index` of the last item of the page before. */
  after?: number;
  verdict?: 'right' | 'wrong';
}

/** What the model gave for each item that is scored, in their order. @throws AppError `not_found`. */
export async function listEvaluationItems(
  s: Services,
  actor: Actor,
  id: string,
  { limit, after = -1, verdict }: ListEvaluationItems,
): Promise<{ object: 'list'; data: EvaluationItem[]; has_more: boolean }> {
  await requireTask(s, actor, id, 'evaluate');
  const rows = await s.db.scoredItem.findMany({
    where: { evaluationId: id, index: { gt: after }, ...(verdict === undefined ? {} : { verdict }) },
    orderBy: { index: 'asc' },
    take: limit + 1,
  });
  return { object: 'list', data: rows.slice(0, limit).map(toItem), has_more: rows.length > limit };
}
