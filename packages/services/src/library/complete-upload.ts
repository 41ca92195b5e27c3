import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { AppError, type CompleteUploadRequest, type UploadObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { PartUploadModel, UploadPartModel } from '../ground/generated/models.js';
import { addToUpload, discardUpload, startUpload, type UploadedFile } from '../ground/upload.js';
import { checkedFile, insertFile, livesFor } from './create-file.js';
import { assertPending, lockUpload, partKey, partsPrefix, requireUpload, toUploadObject } from './part-upload.js';

/**
 * Makes a file of parts, in the order of their ids, and validates it as any file. Completing it once more with the same parts returns what was
 * made. A file of the wrong size or MD5 is not made, and the upload stays open.
 * @throws AppError `not_found`, `conflict`, `invalid_value`.
 */
export async function completeUpload(
  s: Services,
  actor: Actor,
  uploadId: string,
  request: CompleteUploadRequest,
): Promise<UploadObject> {
  const upload = await requireUpload(s, actor, uploadId);
  if (upload.status !== 'completed') {
    const fileId = await makeFile(s, actor, assertPending(upload), request).catch(async (error: unknown) => {
      // Another request completed or cancelled it meanwhile, or its time was up, and took the parts from under this one.
      const now = await requireUpload(s, actor, uploadId);
      if (now.status === 'completed') return null;
      assertPending(now);
      throw error;
    });
    if (fileId !== null) {
      await s.blobs.remove(partsPrefix(uploadId));
      await checkedFile(s, actor, fileId);
    }
  }
  return completed(s, await requireUpload(s, actor, uploadId), request.part_ids);
}

/** The file of the parts; null when another request made it first. */
async function makeFile(
  s: Services,
  actor: Actor,
  upload: PartUploadModel,
  { part_ids: partIds, md5 }: CompleteUploadRequest,
): Promise<string | null> {
  const parts = await partsOf(s, upload, partIds);
  const spool = startUpload();
  try {
    const { file, md5: found } = await join(s, upload, parts, spool);
    if (md5 && md5.toLowerCase() !== found) throw wrongMd5(md5, found);
    return await finish(s, actor, upload, partIds, file);
  } finally {
    await discardUpload(s, spool);
  }
}

/** Writes down what was made; null when another request completed it first. */
const finish = (
  s: Services,
  actor: Actor,
  upload: PartUploadModel,
  partIds: string[],
  file: UploadedFile,
): Promise<string | null> =>
  s.db.$transaction(async (tx) => {
    const locked = await lockUpload(tx, upload);
    if (locked.status === 'completed') return null;
    const { filename, purpose, fileSeconds } = assertPending(locked);
    const identity = { filename, purpose, sha256: file.sha256 };
    const fileId = await insertFile(s, tx, actor, { file, identity, times: livesFor(fileSeconds) });
    await tx.partUpload.update({ where: { id: upload.id }, data: { status: 'completed', fileId, partIds } });
    await tx.uploadPart.deleteMany({ where: { uploadId: upload.id } });
    return fileId;
  });

/** What a completed upload became. @throws AppError `conflict` when it was completed of other parts. */
async function completed(s: Services, upload: PartUploadModel, partIds: readonly string[]): Promise<UploadObject> {
  if (upload.partIds.join() !== partIds.join()) {
    throw new AppError('conflict', `${upload.id} was completed of other parts.`, {
      param: 'part_ids',
      hint: 'Begin another one with POST /v1/uploads.',
    });
  }
  const file = upload.fileId === null ? null : await s.db.file.findUnique({ where: { id: upload.fileId } });
  return toUploadObject(upload, file);
}

/** The parts in the order of their ids. @throws AppError `invalid_value` for one that there is not, or for a wrong size of all. */
async function partsOf(s: Services, upload: PartUploadModel, partIds: readonly string[]): Promise<UploadPartModel[]> {
  const known = await s.db.uploadPart.findMany({ where: { uploadId: upload.id } });
  const byId = new Map(known.map((part) => [part.id, part]));
  const parts = partIds.map((id, i) => {
    const part = byId.get(id);
    if (part) return part;
    throw new AppError('invalid_value', `${upload.id} has no part '${id}'.`, {
      param: `part_ids[${i}]`,
      hint: 'Name the ids that POST /v1/uploads/{id}/parts returned.',
    });
  });
  const bytes = parts.reduce((sum, { sizeBytes }) => sum + Number(sizeBytes), 0);
  if (bytes === Number(upload.sizeBytes)) return parts;
  throw new AppError('invalid_value', `The parts have ${bytes} bytes; the upload was to have ${upload.sizeBytes}.`, {
    param: 'part_ids',
    hint: bytes < upload.sizeBytes ? 'Send what is missing, and name every part.' : 'Name each part once.',
  });
}

/** Streams the parts end to end into one spooled file. */
async function join(
  s: Services,
  { id, filename, sizeBytes }: PartUploadModel,
  parts: readonly UploadPartModel[],
  spool: ReturnType<typeof startUpload>,
): Promise<{ file: UploadedFile; md5: string }> {
  const hash = createHash('md5');
  async function* bytes(): AsyncGenerator<Buffer> {
    for (const part of parts) {
      for await (const piece of await s.blobs.open(partKey(id, part.id))) {
        hash.update(piece as Buffer);
        yield piece as Buffer;
      }
    }
  }
  const whole = Readable.from(bytes(), { objectMode: false });
  const file = await addToUpload(s, spool, filename, whole, { sizeBytesMax: Number(sizeBytes) });
  return { file, md5: hash.digest('hex') };
}

const wrongMd5 = (wanted: string, found: string): AppError =>
  new AppError('invalid_value', `The MD5 of the parts is ${found}, not ${wanted}.`, {
    param: 'md5',
    hint: 'Check the order of part_ids, or send the damaged part again.',
  });
