import { type AnalysisRow, AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { requireTask } from '../work/require-task.js';

export interface ListAnalysisRows {
  limit: number;
  /** `index` of the last row of the page before. */
  after?: number;
  /** Of each weight's update all singular values too: 8 kB of text for 1,024 of them. */
  include?: 'singular_values';
}

/** Rows of a page with all singular values: of a large model a row has thousands, and a page is one text in memory. */
const WHOLE_MAX = 100;

/** What was measured of each layer or canary, in their order. @throws AppError `not_found`, `invalid_value` for a page that is too large. */
export async function listAnalysisRows(
  s: Services,
  actor: Actor,
  id: string,
  { limit, after = -1, include }: ListAnalysisRows,
): Promise<{ object: 'list'; data: AnalysisRow[]; has_more: boolean }> {
  await requireTask(s, actor, id, 'analyse');
  if (include !== undefined && limit > WHOLE_MAX)
    throw new AppError(
      'invalid_value',
      `A page with singular values has at most ${WHOLE_MAX} rows; ${limit} are asked for.`,
      {
        param: 'limit',
        hint: `Ask for ${WHOLE_MAX}, and go on with 'after'.`,
      },
    );
  const isWhole = include === 'singular_values';
  const rows = await s.db.analysisRow.findMany({
    where: { analysisId: id, index: { gt: after } },
    select: { index: true, row: true, values: isWhole },
    orderBy: { index: 'asc' },
    take: limit + 1,
  });
  const data = rows.slice(0, limit).map(({ index, row, values }) => {
    const of = row as unknown as AnalysisRow['row'];
    return { index, row: isWhole && 'layer' in of ? { ...of, singular_values: values } : of };
  });
  return { object: 'list', data, has_more: rows.length > limit };
}
