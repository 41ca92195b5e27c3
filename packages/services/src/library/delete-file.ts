import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { requireFile } from './require-file.js';
import { usersOfFile } from './users-of-file.js';

/**
 * Deletes a file that no unfinished task or experiment needs. The row is locked first, as creating a task does, so neither slips past the other.
 * @throws AppError `conflict` naming it.
 */
export async function deleteFile(
  s: Services,
  actor: Actor,
  id: string,
): Promise<{ id: string; object: 'file'; deleted: true }> {
  const file = await requireFile(s, actor, id);
  await s.db.$transaction(async (tx) => {
    await tx.$queryRaw`SELECT id FROM files WHERE id = ${id} FOR UPDATE`;
    const [user] = await tx.$queryRawUnsafe<{ id: string; kind: string; status: string }[]>(
      `${usersOfFile('$1', '$2')} LIMIT 1`,
      id,
      actor.projectId,
    );
    if (user) throw needed(id, user);
    await tx.file.update({ where: { id }, data: { deletedAt: new Date() } });
  });
  await s.blobs.remove(file.blobKey);
  return { id, object: 'file', deleted: true };
}

/** What a user of a file is called, and where it is cancelled. */
const USERS: Record<string, [what: string, path: string]> = {
  train: ['run', '/v1/fine_tuning/jobs'],
  evaluate: ['evaluation', '/v1/evaluations'],
  analyse: ['analysis', '/v1/analyses'],
  experiment: ['experiment', '/v1/experiments'],
};

function needed(id: string, user: { id: string; kind: string; status: string }): AppError {
  const [what, path] = USERS[user.kind] ?? ['task', '/v1/fine_tuning/jobs'];
  return new AppError('conflict', `${id} is needed by ${user.id}, which is ${user.status}.`, {
    param: 'file_id',
    hint: `Wait for that ${what}, or cancel it: POST ${path}/${user.id}/cancel.`,
  });
}
