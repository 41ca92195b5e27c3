import type { UploadObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { assertPending, lockUpload, partsPrefix, requireUpload, toUploadObject } from './part-upload.js';

/** Gives an upload up and removes its parts; doing it twice is one. @throws AppError `not_found`, `conflict` for one that is completed or expired. */
export async function cancelUpload(s: Services, actor: Actor, uploadId: string): Promise<UploadObject> {
  const upload = await requireUpload(s, actor, uploadId);
  const cancelled = await s.db.$transaction(async (tx) => {
    const locked = await lockUpload(tx, upload);
    if (locked.status === 'cancelled') return locked;
    assertPending(locked);
    await tx.uploadPart.deleteMany({ where: { uploadId } });
    return tx.partUpload.update({ where: { id: uploadId }, data: { status: 'cancelled' } });
  });
  await s.blobs.remove(partsPrefix(uploadId));
  return toUploadObject(cancelled);
}
