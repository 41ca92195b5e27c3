import { AppError, newId, PART_BYTES_MAX, type UploadPartObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { Repeatable } from '../ground/find-repeated.js';
import type { UploadPartModel } from '../ground/generated/models.js';
import { toSeconds } from '../ground/time.js';
import type { Upload } from '../ground/upload.js';
import { assertPending, lockUpload, partKey, requirePending } from './part-upload.js';

/** Parts that were sent again are kept beside the first ones: together at most so many times the size of the file. */
const SPARE = 2;
const PARTS_MAX = 10_000;

/** Bytes that a part of this upload may have. Ask before its bytes are read. @throws AppError `not_found`, `conflict`. */
export async function partBytesMax(s: Services, actor: Actor, uploadId: string): Promise<number> {
  return Math.min(PART_BYTES_MAX, Number((await requirePending(s, actor, uploadId)).sizeBytes));
}

/**
 * Takes over the one spooled file as a part of the upload. The same bytes sent again by a client's own retry are the part that is there.
 * @throws AppError `not_found`, `conflict` for an upload that is over, `invalid_request`, `file_too_large`.
 */
export async function addUploadPart(
  s: Services,
  actor: Actor,
  uploadId: string,
  { files: [file, second] }: Upload,
  { retryCount = 0 }: Repeatable = {},
): Promise<UploadPartObject> {
  const upload = await requirePending(s, actor, uploadId);
  if (!file || second || file.sizeBytes === 0) {
    throw new AppError('invalid_request', 'The form has no single part with bytes in it.', {
      param: 'data',
      hint: "Send the bytes of one part as file 'data'.",
    });
  }
  const part = await s.db.$transaction(async (tx) => {
    assertPending(await lockUpload(tx, upload));
    const parts = await tx.uploadPart.findMany({ where: { uploadId } });
    const same = retryCount > 0 ? parts.find(({ sha256 }) => sha256 === file.sha256) : undefined;
    if (same) return same;
    const bytes = parts.reduce((sum, { sizeBytes }) => sum + Number(sizeBytes), file.sizeBytes);
    if (parts.length >= PARTS_MAX || bytes > SPARE * Number(upload.sizeBytes))
      throw tooMuch(uploadId, parts.length, bytes, Number(upload.sizeBytes));
    const id = newId('part');
    await s.blobs.move(file.blobKey, partKey(uploadId, id));
    return tx.uploadPart.create({ data: { id, uploadId, sizeBytes: file.sizeBytes, sha256: file.sha256 } });
  });
  return toPartObject(part);
}

const toPartObject = ({ id, uploadId, createdAt }: UploadPartModel): UploadPartObject => ({
  id,
  object: 'upload.part',
  created_at: toSeconds(createdAt),
  upload_id: uploadId,
});

const tooMuch = (uploadId: string, parts: number, bytes: number, wanted: number): AppError =>
  new AppError(
    'file_too_large',
    `With this part, ${uploadId} would have ${parts + 1} parts of ${bytes} bytes for a file of ${wanted}.`,
    { param: 'data', hint: 'Send each part once; parts may have up to 64 MiB.' },
  );
