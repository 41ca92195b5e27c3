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

/** Checks that each id is a run of the caller's project. @throws AppError `not_found` naming the first that is not. */
export async function requireRuns(s: Services, actor: Actor, runIds: readonly string[]): Promise<void> {
  const found = await s.db.run.findMany({
    where: { id: { in: [...runIds] }, projectId: actor.projectId, task: { deletedAt: null } },
    select: { id: true },
  });
  const known = new Set(found.map(({ id }) => id));
  const missing = runIds.find((id) => !known.has(id));
  if (missing !== undefined) throw taskNotFound(missing);
}
