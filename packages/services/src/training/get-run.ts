import type { RunObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { runNotFound } from '../work/require-run.js';
import { waitingReasons } from '../work/waiting-reason.js';
import { RUN_PARTS, toRunObject } from './to-run-object.js';

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
