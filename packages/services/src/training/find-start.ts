import { type AdapterConfig, AppError, storedRunConfig } from '@moraine/contract';
import { type Start, trainedAdapter } from '@moraine/contract/plan';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { BaseModel } from '../ground/generated/models.js';
import { findTunedRun } from '../library/get-model.js';
import { requireBase } from '../library/require-base.js';

/** The adapter that a run starts from, and its row: one of the two. */
export interface RunStart extends Start {
  startCheckpointId: string | null;
  startAdapterId: string | null;
}

/** What a run trains: a base, and the adapter that it starts from where there is one. */
export interface Trained {
  base: BaseModel;
  start: RunStart | null;
}

/**
 * What the name in a request stands for: a registered base, a registered adapter, the result of a run (`ft:…`) or one of its checkpoints.
 * @throws AppError `not_found`; `invalid_value` for the result of a run that trained the base itself.
 */
export async function findStart(s: Services, actor: Actor, model: string): Promise<Trained> {
  if (model.startsWith('ft:')) return startOfRun(s, actor, model);
  const uploaded = await s.db.uploadedAdapter.findFirst({
    where: { projectId: actor.projectId, name: model, deletedAt: null },
    include: { base: true },
  });
  if (!uploaded) return { base: await requireBase(s, actor, model), start: null };
  const { id, sha256, base, config } = uploaded;
  const adapter = config as unknown as AdapterConfig;
  return { base, start: { model, sha256, adapter, startCheckpointId: null, startAdapterId: id } };
}

async function startOfRun(s: Services, actor: Actor, model: string): Promise<Trained> {
  const { run, checkpoint } = await findTunedCheckpoint(s, actor, model);
  const { id, sha256, step } = checkpoint;
  const adapter = trainedAdapter(model, storedRunConfig(run.config).adapter, step);
  const start = { model, sha256, run_id: run.id, adapter, startCheckpointId: id, startAdapterId: null };
  return { base: run.base, start };
}

/** The kept checkpoint that an `ft:` name speaks of, with its run: of its result, or of a step. @throws AppError `not_found`. */
export async function findTunedCheckpoint(s: Services, actor: Actor, model: string) {
  const found = await findTunedRun(s, actor, model);
  if (!found) throw gone(`No model '${model}'.`, 'GET /v1/models lists yours.');
  const { run } = found;
  const step = found.step ?? run.resultStep ?? run.step;
  const checkpoint = await s.db.checkpoint.findFirst({ where: { runId: run.id, step, deletedAt: null } });
  if (checkpoint) return { run, checkpoint };
  throw gone(
    `The checkpoint of '${model}' is not kept any more.`,
    'Take a later one, or download the adapter and register it: `moraine models add NAME DIR`.',
  );
}

const gone = (message: string, hint: string): AppError => new AppError('not_found', message, { param: 'model', hint });

/** Locks what a run starts from until the run is stored (`holdCheckpoint`). */
export async function holdStart(tx: Prisma.TransactionClient, start: RunStart | null): Promise<void> {
  if (start === null || start.startCheckpointId === null) return;
  await holdCheckpoint(tx, { model: start.model, runId: start.run_id ?? null, checkpointId: start.startCheckpointId });
}

/** Locks a checkpoint until a task that needs it is stored: one that is dropped now, or deleted with its run, is gone before or kept for it. @throws AppError `not_found`. */
export async function holdCheckpoint(
  tx: Prisma.TransactionClient,
  { model, runId, checkpointId }: { model: string; runId: string | null; checkpointId: string },
): Promise<void> {
  // The task first, as whoever writes a checkpoint does. Only a deletion waits for this lock, not the writes of its attempt.
  const source = await tx.$queryRaw<unknown[]>`
    SELECT id FROM tasks WHERE id = ${runId} AND deleted_at IS NULL FOR KEY SHARE`;
  if (source.length === 0) throw gone(`The run of '${model}' was deleted just now.`, 'Restore it first.');
  const held = await tx.$queryRaw<unknown[]>`
    SELECT id FROM checkpoints WHERE id = ${checkpointId} AND deleted_at IS NULL FOR SHARE`;
  if (held.length === 0) throw gone(`The checkpoint of '${model}' was dropped just now.`, 'Take a later one.');
}
