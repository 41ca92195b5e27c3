import type { RunObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { taskNotFound } from '../work/require-task.js';
import { adviceFor } from './advice.js';
import { toRunObjects } from './run-objects.js';
import { RUN_PARTS } from './to-run-object.js';

/** One run, with the advice that there is. @throws AppError `not_found`. */
export async function getRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  const run = await s.db.run.findFirst({
    where: { id: runId, projectId: actor.projectId, task: { deletedAt: null } },
    include: { ...RUN_PARTS, base: { select: { name: true, parameters: true } } },
  });
  const [object] = run ? await toRunObjects(s, [run]) : [];
  if (!run || !object) throw taskNotFound(runId);
  return { ...object, advice: await adviceFor(s, object.pool, object.config, run.base) };
}
