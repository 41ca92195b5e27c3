import { AppError } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { Prisma } from '../ground/db.js';
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
}

/**
 * Stores the files, then the row; when the row cannot be, no files stay. Bases and registered adapters share their names, so one name is given
 * out at a time.
 * @throws AppError `conflict` for a name that another model has.
 */
export async function registerFolder<Row>(
  s: Services,
  { projectId }: Actor,
  { name, files, blobPrefix, insert, findSame }: FolderOfModel<Row>,
): Promise<Row> {
  const sizeBytes = await moveFolder(s, files, blobPrefix);
  try {
    return await s.db.$transaction(async (tx) => {
      await tx.$queryRaw`SELECT pg_advisory_xact_lock(hashtextextended(${`${projectId} model ${name}`}, 0))::text`;
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

const isTaken = (error: unknown): boolean =>
  error instanceof AppError
    ? error.code === 'conflict'
    : error instanceof Prisma.PrismaClientKnownRequestError && error.code === 'P2002';

export const nameTaken = (name: string): AppError =>
  new AppError('conflict', `Another model is called '${name}'.`, {
    param: 'name',
    hint: 'Take another name; the files of a model never change.',
  });
