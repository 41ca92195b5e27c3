import type { RunObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { taskNotFound } from '../work/require-task.js';
import { advise } from './advice.js';
import { readRuns } from './read-runs.js';

/** One run, with the advice that there is. @throws AppError `not_found`. */
export async function getRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  const [run] = await readRuns(s, {
    keepPlan: true,
    where: 't.id = $1 AND t.project_id = $2 AND t.deleted_at IS NULL',
    values: [runId, actor.projectId],
  });
  if (!run) throw taskNotFound(runId);
  return { ...run.object, advice: advise(run.object.config, run.parameters, run.bfloat16) };
}
