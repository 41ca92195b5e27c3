import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { RunModel } from '../ground/generated/models.js';

/** The row of a run of the caller's project. @throws AppError `not_found`, also for runs of other projects. */
export async function requireRun(s: Services, actor: Actor, runId: string): Promise<RunModel> {
  const run = await s.db.run.findFirst({ where: { id: runId, projectId: actor.projectId, deletedAt: null } });
  if (!run) throw runNotFound(runId);
  return run;
}

export const runNotFound = (runId: string): AppError =>
  new AppError('not_found', `No fine-tuning job '${runId}'.`, {
    param: 'fine_tuning_job_id',
    hint: 'GET /v1/fine_tuning/jobs lists yours.',
  });
