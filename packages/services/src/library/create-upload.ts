import { AppError, type CreateUploadRequest, newId, type UploadObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { plainName, refusePurpose } from './create-file.js';
import { toUploadObject } from './part-upload.js';

/** An upload that nobody completed is given up after an hour, as in the OpenAI API. */
const LIFE_MS = 3_600_000;

/** Begins a file that comes in parts. @throws AppError `invalid_value`, `file_too_large`. */
export async function createUpload(
  s: Services,
  actor: Actor,
  { filename, purpose, bytes, mime_type: mimeType, expires_after: expiry }: CreateUploadRequest,
  sizeBytesMax: number,
): Promise<UploadObject> {
  refusePurpose(purpose);
  if (bytes > sizeBytesMax) {
    throw new AppError('file_too_large', `'bytes' is ${bytes}, more than the ${sizeBytesMax} that this server takes.`, {
      param: 'bytes',
      hint: 'Split the file, or raise MORAINE_UPLOAD_LIMIT_BYTES on the server.',
    });
  }
  const createdAt = new Date();
  const upload = await s.db.partUpload.create({
    data: {
      id: newId('upload'),
      projectId: actor.projectId,
      filename: plainName(filename),
      purpose,
      sizeBytes: bytes,
      mimeType,
      status: 'pending',
      fileSeconds: expiry?.seconds ?? null,
      createdAt,
      expiresAt: new Date(createdAt.getTime() + LIFE_MS),
    },
  });
  return toUploadObject(upload);
}
