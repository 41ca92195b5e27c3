import type { AnalysisRow } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { requireTask } from '../work/require-task.js';

export interface ListAnalysisRows {
  limit: number;
  /** `index` of the last row of the page before. */
  after?: number;
  /** Of each weight's update all singular values too: 8 kB of text for 1,024 of them. */
  include?: 'singular_values';
}

/** What was measured of each layer or canary, in their order. @throws AppError `not_found`. */
export async function listAnalysisRows(
  s: Services,
  actor: Actor,
  id: string,
  { limit, after = -1, include }: ListAnalysisRows,
): Promise<{ object: 'list'; data: AnalysisRow[]; has_more: boolean }> {
  await requireTask(s, actor, id, 'analyse');
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
