import { AppError } from '@moraine/contract';
import type { EvaluationItem } from '@moraine/contract/suites';
import type { Actor, Services } from '../ground/context.js';
import { requireTask } from '../work/require-task.js';
import { toItem } from './item-row.js';

export interface ListEvaluationItems {
  limit: number;
  /** `index` of the last item of the page before. */
  after?: number;
  verdict?: 'right' | 'wrong';
  /** All answers that were drawn for each item too. */
  include?: 'samples';
}

/** Items of a page with their samples: 256 answers each are megabytes. */
const WHOLE_MAX = 100;

/** What the model gave for each item that is scored, in their order. @throws AppError `not_found`, `invalid_value` for a page that is too large. */
export async function listEvaluationItems(
  s: Services,
  actor: Actor,
  id: string,
  { limit, after = -1, verdict, include }: ListEvaluationItems,
): Promise<{ object: 'list'; data: EvaluationItem[]; has_more: boolean }> {
  await requireTask(s, actor, id, 'evaluate');
  if (include !== undefined && limit > WHOLE_MAX)
    throw new AppError('invalid_value', `A page with samples has at most ${WHOLE_MAX} items; ${limit} are asked for.`, {
      param: 'limit',
      hint: `Ask for ${WHOLE_MAX}, and go on with 'after'.`,
    });
  const rows = await s.db.scoredItem.findMany({
    where: { evaluationId: id, index: { gt: after }, ...(verdict === undefined ? {} : { verdict }) },
    omit: { samples: include === undefined },
    orderBy: { index: 'asc' },
    take: limit + 1,
  });
  return { object: 'list', data: rows.slice(0, limit).map(toItem), has_more: rows.length > limit };
}
