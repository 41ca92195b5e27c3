import type { AnalysisAsk, AnalysisTaskObject, RunStatus } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { readAnalyses } from './read-analyses.js';

export interface ListAnalyses {
  limit: number;
  after?: string;
  /** As it was named. */
  model?: string;
  /** The run whose checkpoints they are of. */
  run?: string;
  kind?: AnalysisAsk['kind'];
  status?: RunStatus;
}

/** Analyses of the caller's project, newest first. */
export async function listAnalyses(
  s: Services,
  actor: Actor,
  { limit, after, model, run, kind, status }: ListAnalyses,
): Promise<Page<AnalysisTaskObject>> {
  const { projectId } = actor;
  const where: Prisma.AnalysisTaskWhereInput = {
    projectId,
    ...(model === undefined ? {} : { model }),
    ...(run === undefined ? {} : { runId: run }),
    ...(kind === undefined ? {} : { kind }),
    ...(status === undefined ? {} : { task: { status } }),
    ...(after === undefined ? {} : { AND: await behind(s, projectId, after) }),
  };
  return toPage(await readAnalyses(s, where, limit + 1), limit);
}

/** What comes after an analysis in the order of the list. @throws AppError `invalid_value`. */
async function behind(s: Services, projectId: string, after: string): Promise<Prisma.AnalysisTaskWhereInput> {
  const row = await s.db.analysisTask.findFirst({ where: { id: after, projectId }, include: { task: true } });
  const { createdAt } = cursorOrThrow(row, after).task;
  return { OR: [{ task: { createdAt: { lt: createdAt } } }, { task: { createdAt }, id: { lt: after } }] };
}
