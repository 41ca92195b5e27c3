import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { requireFile } from './require-file.js';

/**
 * Deletes a file that no unfinished run needs. The row is locked first, as creating a run does, so neither slips past the other.
 * @throws AppError `conflict` naming the run.
 */
export async function deleteFile(
  s: Services,
  actor: Actor,
  id: string,
): Promise<{ id: string; object: 'file'; deleted: true }> {
  const file = await requireFile(s, actor, id);
  await s.db.$transaction(async (tx) => {
    await tx.$queryRaw`SELECT id FROM files WHERE id = ${id} FOR UPDATE`;
    const users = await tx.$queryRaw<{ id: string; status: string }[]>`
      SELECT r.id, t.status FROM tasks t JOIN runs r ON r.id = t.id
      WHERE t.project_id = ${actor.projectId} AND t.finished_at IS NULL AND t.deleted_at IS NULL
        AND (training_file_id = ${id} OR validation_file_id = ${id} OR config->'evaluation'->'files' ? ${id}
          OR config->'data_mix' @> jsonb_build_array(jsonb_build_object('file_id', ${id}::text))) LIMIT 1`;
    const user = users[0];
    if (user) {
      throw new AppError('conflict', `${id} is needed by ${user.id}, which is ${user.status}.`, {
        param: 'file_id',
        hint: `Wait for that run, or cancel it: POST /v1/fine_tuning/jobs/${user.id}/cancel.`,
      });
    }
    await tx.file.update({ where: { id }, data: { deletedAt: new Date() } });
  });
  await s.blobs.remove(file.blobKey);
  return { id, object: 'file', deleted: true };
}
