import { AppError, type UploadObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import type { FileModel, PartUploadModel } from '../ground/generated/models.js';
import { toSeconds } from '../ground/time.js';
import { toFileObject } from './to-file-object.js';

/** Where the bytes of an upload's parts are. */
export const partsPrefix = (uploadId: string): string => `uploads/${uploadId}`;
export const partKey = (uploadId: string, partId: string): string => `${partsPrefix(uploadId)}/${partId}`;

/** What an upload is now: one that nobody completed in time has expired, whether that was written down yet or not. */
export const statusOf = ({ status, expiresAt }: PartUploadModel): UploadObject['status'] =>
  status === 'pending' && expiresAt <= new Date() ? 'expired' : (status as UploadObject['status']);

export const toUploadObject = (upload: PartUploadModel, file: FileModel | null = null): UploadObject => ({
  id: upload.id,
  object: 'upload',
  bytes: Number(upload.sizeBytes),
  created_at: toSeconds(upload.createdAt),
  filename: upload.filename,
  purpose: upload.purpose,
  status: statusOf(upload),
  expires_at: toSeconds(upload.expiresAt),
  file: file && toFileObject(file),
});

/** The row of an upload of the caller's project. @throws AppError `not_found`. */
export async function requireUpload(s: Services, actor: Actor, id: string): Promise<PartUploadModel> {
  const upload = await s.db.partUpload.findFirst({ where: { id, projectId: actor.projectId } });
  if (upload) return upload;
  throw new AppError('not_found', `No upload '${id}'.`, {
    param: 'upload_id',
    hint: 'POST /v1/uploads begins one.',
  });
}

/** The same, still pending. @throws AppError `not_found`, `conflict`. */
export async function requirePending(s: Services, actor: Actor, id: string): Promise<PartUploadModel> {
  return assertPending(await requireUpload(s, actor, id));
}

/** The row under its lock, until the transaction ends. @throws AppError `not_found` for one that is gone. */
export async function lockUpload(
  tx: Prisma.TransactionClient,
  { id }: Pick<PartUploadModel, 'id'>,
): Promise<PartUploadModel> {
  await tx.$queryRaw`SELECT id FROM uploads WHERE id = ${id} FOR UPDATE`;
  return tx.partUpload.findUniqueOrThrow({ where: { id } });
}

/** @throws AppError `conflict` for an upload that takes nothing more. */
export function assertPending(upload: PartUploadModel): PartUploadModel {
  const status = statusOf(upload);
  if (status === 'pending') return upload;
  throw new AppError('conflict', `${upload.id} is ${status}.`, {
    param: 'upload_id',
    hint: 'Begin another one with POST /v1/uploads.',
  });
}
