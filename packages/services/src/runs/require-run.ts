import type { Actor, Services } from '../context.js';
import type { RunModel } from '../db/generated/models.js';
import { runNotFound } from './get-run.js';

/** The row of a run of the caller's project. @throws AppError `not_found`, also for runs of other projects. */
export async function requireRun(s: Services, actor: Actor, runId: string): Promise<RunModel> {
  const run = await s.db.run.findFirst({ where: { id: runId, projectId: actor.projectId, deletedAt: null } });
  if (!run) throw runNotFound(runId);
  return run;
}
