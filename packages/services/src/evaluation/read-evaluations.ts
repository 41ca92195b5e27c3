import type { EvaluationTaskObject } from '@moraine/contract';
import type { Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { inSnapshot } from '../ground/in-snapshot.js';
import { waitingReasons } from '../work/waiting-reason.js';
import { toEvaluationObject } from './to-evaluation-object.js';

/** Reads evaluations, newest first, and makes their wire objects, with the reason why each queued one waits. */
export async function readEvaluations(
  s: Services,
  where: Prisma.EvaluationTaskWhereInput,
  take?: number,
): Promise<EvaluationTaskObject[]> {
  const rows = await inSnapshot(s, (tx) =>
    tx.evaluationTask.findMany({
      where,
      include: { task: { include: { attempts: { orderBy: { attempt: 'asc' } } } } },
      orderBy: [{ task: { createdAt: 'desc' } }, { id: 'desc' }],
      ...(take === undefined ? {} : { take }),
    }),
  );
  const waiting = rows.map(({ task, done }) => ({ ...task, reached: `item ${done}` }));
  const reasons = await waitingReasons(s, waiting);
  return rows.map((row) => toEvaluationObject(row, reasons.get(row.id) ?? null));
}
