import type { CheckpointObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { cursorOrThrow, type Page, toPage } from '../ground/paging.js';
import { toSeconds } from '../ground/time.js';
import { checkpointModelName, fineTunedModelName } from '../library/fine-tuned-model-name.js';
import { taskNotFound } from '../work/require-task.js';

/** Checkpoints of a run that are kept, latest step first. */
export async function listCheckpoints(
  s: Services,
  actor: Actor,
  runId: string,
  { limit, after }: { limit: number; after?: string },
): Promise<Page<CheckpointObject>> {
  const run = await s.db.run.findFirst({
    where: { id: runId, projectId: actor.projectId, task: { deletedAt: null } },
    include: { base: { select: { name: true } }, project: { select: { name: true } } },
  });
  if (!run) throw taskNotFound(runId);
  const from = after ? cursorOrThrow(await s.db.checkpoint.findFirst({ where: { id: after, runId } }), after) : null;
  const rows = await s.db.checkpoint.findMany({
    where: { runId, deletedAt: null, ...(from ? { step: { lt: from.step } } : {}) },
    orderBy: { step: 'desc' },
    take: limit + 1,
  });
  const newest = await s.db.checkpoint.findFirst({ where: { runId, deletedAt: null }, orderBy: { step: 'desc' } });
  const model = fineTunedModelName({
    runId,
    baseName: run.base.name,
    projectName: run.project.name,
    suffix: run.suffix,
  });
  const checkpoints = rows.map(
    (row): CheckpointObject => ({
      id: row.id,
      object: 'fine_tuning.job.checkpoint',
      created_at: toSeconds(row.createdAt),
      step_number: row.step,
      fine_tuned_model_checkpoint: checkpointModelName(model, row.step),
      fine_tuning_job_id: runId,
      metrics: { step: row.step, ...(row.metrics as Record<string, number>) },
      bytes: Number(row.sizeBytes),
      sha256: row.sha256,
      is_best: row.step === newest?.bestStep,
    }),
  );
  return toPage(checkpoints, limit);
}
