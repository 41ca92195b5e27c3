import type { EvaluationTaskObject, RunStatus } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { readEvaluations } from './read-evaluations.js';

export interface ListEvaluationTasks {
  limit: number;
  after?: string;
  /** As it was named. */
  model?: string;
  suite?: string;
  /** The run that asked for them. */
  run?: string;
  status?: RunStatus;
}

/** Evaluations of the caller's project, newest first. */
export async function listEvaluationTasks(
  s: Services,
  actor: Actor,
  { limit, after, model, suite, run, status }: ListEvaluationTasks,
): Promise<Page<EvaluationTaskObject>> {
  const { projectId } = actor;
  const where: Prisma.EvaluationTaskWhereInput = {
    projectId,
    ...(model === undefined ? {} : { model }),
    ...(suite === undefined ? {} : { suite }),
    ...(run === undefined ? {} : { forRunId: run }),
    ...(status === undefined ? {} : { task: { status } }),
    ...(after === undefined ? {} : { AND: await behind(s, projectId, after) }),
  };
  return toPage(await readEvaluations(s, where, limit + 1), limit);
}

/** What comes after an evaluation in the order of the list. @throws AppError `invalid_value`. */
async function behind(s: Services, projectId: string, after: string): Promise<Prisma.EvaluationTaskWhereInput> {
  const row = await s.db.evaluationTask.findFirst({ where: { id: after, projectId }, include: { task: true } });
  const { createdAt } = cursorOrThrow(row, after).task;
  return { OR: [{ task: { createdAt: { lt: createdAt } } }, { task: { createdAt }, id: { lt: after } }] };
}
