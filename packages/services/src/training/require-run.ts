import type { Actor, Services } from '../ground/context.js';
import type { RunModel, TaskModel } from '../ground/generated/models.js';
import { taskNotFound } from '../work/require-task.js';

/** The row of a run of the caller's project with its task. @throws AppError `not_found`, also for runs of other projects. */
export async function requireRun(s: Services, actor: Actor, runId: string): Promise<RunModel & { task: TaskModel }> {
  const run = await s.db.run.findFirst({
    where: { id: runId, projectId: actor.projectId, task: { deletedAt: null } },
    include: { task: true },
  });
  if (!run) throw taskNotFound(runId);
  return run;
}
