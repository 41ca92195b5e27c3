import { randomUUID } from 'node:crypto';
import type { Readable } from 'node:stream';
import type { StoredBlob } from './blob-store.js';
import type { Services } from './context.js';

export interface UploadedFile extends StoredBlob {
  /** As the caller called it. */
  filename: string;
  blobKey: string;
}

/**
 * Bytes that arrived before we know what they are for: a multipart body may carry its fields in any order. Ends in a verb that takes
 * it over, or in `discardUpload`; what a crash leaves below `incoming/` is collected by age.
 */
export interface Upload {
  prefix: string;
  files: UploadedFile[];
}

export const startUpload = (): Upload => ({ prefix: `incoming/${randomUUID()}`, files: [] });

/** @throws AppError `file_too_large`. */
export async function addToUpload(
  s: Services,
  upload: Upload,
  filename: string,
  stream: Readable,
  { sizeBytesMax }: { sizeBytesMax: number },
): Promise<UploadedFile> {
  const blobKey = `${upload.prefix}/${upload.files.length}`;
  const file = { filename, blobKey, ...(await s.blobs.put(blobKey, stream, { sizeBytesMax })) };
  upload.files.push(file);
  return file;
}

export async function discardUpload(s: Services, upload: Upload): Promise<void> {
  await s.blobs.remove(upload.prefix);
}
