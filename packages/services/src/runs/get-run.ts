import { AppError, type RunObject } from '@moraine/contract';
import type { Actor, Services } from '../context.js';
import { RUN_PARTS, toRunObject } from './to-run-object.js';
import { waitingReasons } from './waiting-reason.js';

/** One run. @throws AppError `not_found`. */
export async function getRun(s: Services, actor: Actor, runId: string): Promise<RunObject> {
  const run = await s.db.run.findFirst({
    where: { id: runId, projectId: actor.projectId, deletedAt: null },
    include: RUN_PARTS,
  });
  if (!run) throw runNotFound(runId);
  const reasons = await waitingReasons(s, [run]);
  return toRunObject(run, reasons.get(run.id) ?? null);
}

export const runNotFound = (runId: string): AppError =>
  new AppError('not_found', `No fine-tuning job '${runId}'.`, {
    param: 'fine_tuning_job_id',
    hint: 'GET /v1/fine_tuning/jobs lists yours.',
  });
