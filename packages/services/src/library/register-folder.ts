import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { Prisma } from '../ground/db.js';
import { lockModelName, nameHeld, nameTaken } from './model-name.js';
import { moveFolder, type UploadedFolder } from './uploaded-files.js';

/** A folder that was sent and checked, to be registered as a model. */
export interface FolderOfModel<Row> {
  name: string;
  files: UploadedFolder;
  /** Where its files are to be stored. */
  blobPrefix: string;
  insert(tx: Prisma.TransactionClient, sizeBytes: number): Promise<Row>;
  /** What another request registered meanwhile, if that is the same; else it throws. */
  findSame(): Promise<Row | null>;
  /** Id of the download that brought the files: it holds the name, and ends with this. */
  downloadId?: string | undefined;
}

/**
 * Stores the files, then the row; when the row cannot be, no files stay. Bases and registered adapters share their names, so one name is given
 * out at a time.
 * @throws AppError `conflict` for a name that another model has.
 */
export async function registerFolder<Row>(
  s: Services,
  { projectId }: Actor,
  { name, files, blobPrefix, insert, findSame, downloadId }: FolderOfModel<Row>,
): Promise<Row> {
  const sizeBytes = await moveFolder(s, files, blobPrefix);
  try {
    return await s.db.$transaction(async (tx) => {
      await lockModelName(tx, { projectId }, name);
      await endDownload(tx, projectId, name, downloadId);
      const where = { projectId, name, deletedAt: null };
      if ((await tx.base.findFirst({ where })) ?? (await tx.uploadedAdapter.findFirst({ where })))
        throw nameTaken(name);
      return insert(tx, sizeBytes);
    });
  } catch (error) {
    await s.blobs.remove(blobPrefix);
    // Another request was first; it may have sent the very same files.
    const same = isTaken(error) ? await findSame() : null;
    if (same !== null) return same;
    throw error;
  }
}

/** @throws AppError `conflict` where another download holds the name; `cancelled` where this one was deleted meanwhile. */
async function endDownload(
  tx: Prisma.TransactionClient,
  projectId: string,
  name: string,
  downloadId: string | undefined,
): Promise<void> {
  const held = await tx.baseDownload.findUnique({ where: { projectId_name: { projectId, name } } });
  if (held && held.id !== downloadId) throw nameHeld(held);
  if (downloadId === undefined) return;
  if (!held) throw new AppError('cancelled', `The download of '${name}' was deleted.`);
  await tx.baseDownload.delete({ where: { id: downloadId } });
}

const isTaken = (error: unknown): boolean =>
  error instanceof AppError
    ? error.code === 'conflict'
    : error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';
