import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { FileModel } from '../ground/generated/models.js';

/** What a caller may see of files: not deleted, not expired. */
export const liveFiles = (actor: Actor) => ({
  projectId: actor.projectId,
  deletedAt: null,
  OR: [{ expiresAt: null }, { expiresAt: { gt: new Date() } }],
});

/** The row of a file of the caller's project. @throws AppError `not_found`, also for files of other projects. */
export async function requireFile(s: Services, actor: Actor, id: string, param = 'file_id'): Promise<FileModel> {
  const file = await s.db.file.findFirst({ where: { id, ...liveFiles(actor) } });
  if (!file) throw fileNotFound(id, param);
  return file;
}

export const fileNotFound = (id: string, param = 'file_id'): AppError =>
  new AppError('not_found', `No file '${id}'.`, {
    param,
    hint: 'GET /v1/files lists yours; an expired file is gone.',
  });
