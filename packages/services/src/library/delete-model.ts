import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { Prisma } from '../ground/db.js';
import { downloadPrefix } from './download-prefix.js';
import { getModel } from './get-model.js';
import { lockModelName } from './model-name.js';

/** What a name stands for that can be deleted, and where its files are; null where another process removes them. */
type Removed = { prefix: string | null } | null;

/**
 * Ends a download, or deletes a base or a registered adapter that no run and no adapter was made from.
 * @throws AppError `not_found`; `conflict` for one that is needed, and for the result of a run.
 */
export async function deleteModel(
  s: Services,
  actor: Actor,
  name: string,
): Promise<{ id: string; object: 'model'; deleted: true }> {
  const model = await getModel(s, actor, name);
  if (model.kind === 'fine_tuned')
    throw new AppError('conflict', `'${name}' is the result of ${model.run_id}, and stays as long as its run does.`, {
      param: 'model',
    });
  const removed = await s.db
    .$transaction(async (tx) => {
      await lockModelName(tx, actor, name);
      return (
        (await removeDownload(tx, actor, name)) ??
        (await removeAdapter(tx, actor, name)) ??
        (await removeBase(tx, actor, name))
      );
    })
    .catch((error: unknown) => {
      throw error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2003' ? needed(name) : error;
    });
  if (removed === null) throw new AppError('not_found', `No model '${name}'.`, { param: 'model' });
  if (removed.prefix !== null) await s.blobs.remove(removed.prefix);
  return { id: name, object: 'model', deleted: true };
}

/** A process that is downloading it sees that the row is gone, stops and removes the files. */
async function removeDownload(tx: Prisma.TransactionClient, { projectId }: Actor, name: string): Promise<Removed> {
  const rows = await tx.$queryRaw<{ id: string; is_held: boolean }[]>`
    DELETE FROM base_downloads WHERE project_id = ${projectId} AND name = ${name}
    RETURNING id, coalesce(lease_until > now(), false) AS is_held`;
  const row = rows[0];
  return row === undefined ? null : { prefix: row.is_held ? null : downloadPrefix(row.id) };
}

async function removeAdapter(tx: Prisma.TransactionClient, { projectId }: Actor, name: string): Promise<Removed> {
  const adapter = await tx.uploadedAdapter.findFirst({ where: { projectId, name, deletedAt: null } });
  if (!adapter) return null;
  // A run that is being created from it holds the row, and is seen afterwards.
  await tx.$queryRaw`SELECT id FROM uploaded_adapters WHERE id = ${adapter.id} FOR UPDATE`;
  if ((await tx.run.findFirst({ where: { startAdapterId: adapter.id } })) !== null) throw needed(name);
  await refuseUsed(tx, name, { adapterId: adapter.id });
  await tx.uploadedAdapter.delete({ where: { id: adapter.id } });
  return { prefix: adapter.blobPrefix };
}

/** The row goes itself: the database keeps one that a run or an adapter refers to, whoever was first. */
async function removeBase(tx: Prisma.TransactionClient, { projectId }: Actor, name: string): Promise<Removed> {
  const base = await tx.base.findFirst({ where: { projectId, name, deletedAt: null } });
  if (!base) return null;
  await tx.$queryRaw`SELECT id FROM bases WHERE id = ${base.id} FOR UPDATE`;
  await refuseUsed(tx, name, { baseId: base.id });
  await tx.base.delete({ where: { id: base.id } });
  return { prefix: base.blobPrefix };
}

/** An evaluation and an analysis that have ended keep their figures without the model; one that has not needs it. */
async function refuseUsed(
  tx: Prisma.TransactionClient,
  name: string,
  of: { adapterId: string } | { baseId: string },
): Promise<void> {
  const open = { where: { ...of, task: { finishedAt: null } } };
  const evaluation = await tx.evaluationTask.findFirst(open);
  const user = evaluation ?? (await tx.analysisTask.findFirst(open));
  if (user === null) return;
  const [noun, list] = evaluation === null ? ['analysis', 'analyses'] : ['evaluation', 'evaluations'];
  throw new AppError('conflict', `'${name}' is needed by ${user.id}, which has not ended.`, {
    param: 'model',
    hint: `Wait for that ${noun}, or cancel it: POST /v1/${list}/${user.id}/cancel.`,
  });
}

const needed = (name: string): AppError =>
  new AppError('conflict', `'${name}' is needed by what was trained on it.`, {
    param: 'model',
    hint: 'Its runs and adapters could not be trained on or merged without it. Deleted runs count until they can no longer be restored.',
  });
