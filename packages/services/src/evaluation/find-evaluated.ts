import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { BaseModel } from '../ground/generated/models.js';
import { requireBase } from '../library/require-base.js';
import { findTunedCheckpoint, holdCheckpoint } from '../training/find-start.js';

/** What was trained on a base: a checkpoint of a run, or a registered adapter. */
export interface Tuned {
  runId: string | null;
  checkpointId: string | null;
  adapterId: string | null;
  sha256: string;
  step: number | null;
}

/** What a name stands for: a base alone, or with what was trained on it. */
export interface Evaluated {
  base: BaseModel;
  tuned: Tuned | null;
}

/**
 * A registered base, a registered adapter, the result of a run (`ft:…`, after full fine-tuning too) or one of its checkpoints.
 * @throws AppError `not_found`; `not_ready` for a base that is still being downloaded.
 */
export async function findEvaluated(s: Services, actor: Actor, model: string): Promise<Evaluated> {
  if (model.startsWith('ft:')) {
    const { run, checkpoint } = await findTunedCheckpoint(s, actor, model);
    const { id, sha256, step } = checkpoint;
    return { base: run.base, tuned: { runId: run.id, checkpointId: id, adapterId: null, sha256, step } };
  }
  const uploaded = await s.db.uploadedAdapter.findFirst({
    where: { projectId: actor.projectId, name: model, deletedAt: null },
    include: { base: true },
  });
  if (!uploaded) return { base: await requireBase(s, actor, model), tuned: null };
  const { id, sha256, base } = uploaded;
  return { base, tuned: { runId: null, checkpointId: null, adapterId: id, sha256, step: null } };
}

/** Locks what is evaluated until the evaluation is stored; a base and an adapter are held by its references to them. */
export async function holdEvaluated(tx: Prisma.TransactionClient, model: string, tuned: Tuned | null): Promise<void> {
  if (tuned === null || tuned.checkpointId === null) return;
  await holdCheckpoint(tx, { model, runId: tuned.runId, checkpointId: tuned.checkpointId });
}
