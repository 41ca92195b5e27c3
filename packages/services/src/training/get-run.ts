import type { RunObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { taskNotFound } from '../work/require-task.js';
import { toRunObjects } from './run-objects.js';
import { RUN_PARTS } from './to-run-object.js';

/** One run. @throws AppError `not_found`. */
export async function getRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  const run = await s.db.run.findFirst({
    where: { id: runId, projectId: actor.projectId, task: { deletedAt: null } },
    include: RUN_PARTS,
  });
  const [object] = run ? await toRunObjects(s, [run]) : [];
  if (!object) throw taskNotFound(runId);
  return object;
}
