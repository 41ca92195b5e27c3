import type { AnalysisTaskObject, StateReason } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { AnalysisTaskModel } from '../ground/generated/models.js';
import { inSnapshot } from '../ground/in-snapshot.js';
import { toSubjectFields } from '../training/find-subject.js';
import { type TaskWithAttempts, toTaskFields } from '../work/to-task-fields.js';
import { waitingReasons } from '../work/waiting-reason.js';

/** Reads analyses, newest first, and makes their wire objects, with the reason why each queued one waits. */
export async function readAnalyses(
  s: Services,
  where: Prisma.AnalysisTaskWhereInput,
  take?: number,
): Promise<AnalysisTaskObject[]> {
  const rows = await inSnapshot(s, (tx) =>
    tx.analysisTask.findMany({
      where,
      include: { task: { include: { attempts: { orderBy: { attempt: 'asc' } } } } },
      orderBy: [{ task: { createdAt: 'desc' } }, { id: 'desc' }],
      ...(take === undefined ? {} : { take }),
    }),
  );
  const waiting = rows.map(({ task, done }) => ({ ...task, reached: `row ${done}` }));
  const reasons = await waitingReasons(s, waiting);
  return rows.map((row) => toAnalysisObject(row, reasons.get(row.id) ?? null));
}

const toAnalysisObject = (
  row: AnalysisTaskModel & { task: TaskWithAttempts },
  waiting: StateReason | null,
): AnalysisTaskObject => ({
  id: row.id,
  object: 'analysis.task',
  ...toTaskFields(row.task, waiting),
  ...toSubjectFields(row),
  made_for: row.forRunId,
  ask: row.ask as AnalysisTaskObject['ask'],
  progress: { rows: row.done, total: row.total },
  summary: row.summary as AnalysisTaskObject['summary'],
  metadata: row.metadata as AnalysisTaskObject['metadata'],
});
