import { AppError } from '@moraine/contract';
import { Prisma } from '../ground/db.js';

/** Locks the files of a task until it is stored: one that is being deleted now is either gone before, or kept for it. @throws AppError `not_found`. */
export async function holdFiles(tx: Prisma.TransactionClient, ids: readonly string[]): Promise<void> {
  const held = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM files WHERE id IN (${Prisma.join(ids)}) AND deleted_at IS NULL ORDER BY id FOR SHARE`;
  const gone = ids.find((id) => !held.some((file) => file.id === id));
  if (gone) throw new AppError('not_found', `File '${gone}' was deleted just now.`, { hint: 'Upload it again.' });
}
