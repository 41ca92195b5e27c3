import { setTimeout as sleep } from 'node:timers/promises';
import { AppError, type FileObject, nearest, newId } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import type { Prisma } from '../ground/db.js';
import { findRepeated, type Repeatable } from '../ground/find-repeated.js';
import type { Upload, UploadedFile } from '../ground/upload.js';
import { type FileIdentity, fileFinder, fileHash } from './file-finder.js';
import { getFile } from './get-file.js';
import { validateStoredFile } from './validate-stored-file.js';

const PURPOSES = ['fine-tune', 'evals'];
const EXPIRY_S = { min: 3_600, max: 2_592_000 };
/** A small file is checked within this time, so that its uploader reads the verdict in the answer. */
const VERDICT_WAIT_MS = 2_000;
const NAME_LENGTH_MAX = 255;

export interface CreateFile {
  upload: Upload;
  purpose: string;
  /** The file expires so many seconds from now. */
  expiresAfterSeconds?: number;
}

/**
 * Takes over the one file of an upload. Its lines are validated in the background; the file always ends `processed` or `error`, and the
 * answer already says which when that takes less than two seconds. The same file sent again by a client's retry, or under the same
 * idempotency key, answers the first one.
 */
export async function createFile(
  s: Services,
  actor: Actor,
  { upload, purpose, expiresAfterSeconds }: CreateFile,
  repeatable: Repeatable = {},
): Promise<FileObject> {
  const [file, second] = upload.files;
  if (!file || second) {
    throw new AppError('invalid_request', `The upload has ${upload.files.length} files.`, {
      param: 'file',
      hint: "Send one file as field 'file'.",
    });
  }
  refusePurpose(purpose);
  refuseExpiry(expiresAfterSeconds);
  const identity = { filename: plainName(file.filename), purpose, sha256: file.sha256 };
  const id = await s.db.$transaction(async (tx) => {
    const repeated = await findRepeated(tx, actor, fileHash(identity), repeatable, fileFinder(tx, actor, identity));
    if (repeated !== null) return repeated;
    const times = livesFor(expiresAfterSeconds ?? null);
    return insertFile(s, tx, actor, { file, identity, times, repeatable });
  });
  return checkedFile(s, actor, id);
}

export interface FileTimes {
  createdAt: Date;
  /** Null: never. */
  expiresAt: Date | null;
}

/** A file that is created now. The clock is read once: both times are told as whole seconds. */
export function livesFor(seconds: number | null): FileTimes {
  const createdAt = new Date();
  return { createdAt, expiresAt: seconds === null ? null : new Date(createdAt.getTime() + seconds * 1_000) };
}

export interface NewFile {
  file: UploadedFile;
  identity: FileIdentity;
  times: FileTimes;
  repeatable?: Repeatable;
}

/** Takes over spooled bytes and stores the row, in the caller's transaction; returns the id. A crash in between leaves bytes that are collected. */
export async function insertFile(
  s: Services,
  tx: Prisma.TransactionClient,
  actor: Actor,
  { file, identity, times, repeatable = {} }: NewFile,
): Promise<string> {
  const id = newId('file');
  const blobKey = `files/${id}`;
  await s.blobs.move(file.blobKey, blobKey);
  await tx.file.create({
    data: {
      ...identity,
      id,
      projectId: actor.projectId,
      keyId: actor.keyId,
      idempotencyKey: repeatable.idempotencyKey ?? null,
      sizeBytes: file.sizeBytes,
      blobKey,
      status: 'uploaded',
      ...times,
    },
  });
  return id;
}

/** Begins the validation of a stored file, and returns it with its verdict where that takes less than two seconds. */
export async function checkedFile(s: Services, actor: Actor, id: string): Promise<FileObject> {
  const validation = validateStoredFile(s, id);
  s.inBackground(`Validation of ${id}`, validation);
  await Promise.race([validation.catch(() => undefined), sleep(VERDICT_WAIT_MS, undefined, { ref: false })]);
  return getFile(s, actor, id);
}

/** @throws AppError `invalid_value` for a purpose that no uploaded file has. */
export function refusePurpose(purpose: string): void {
  if (PURPOSES.includes(purpose)) return;
  const near = nearest(purpose, PURPOSES);
  throw new AppError('invalid_value', `'purpose' is '${purpose}', which is none of ${PURPOSES.join(', ')}.`, {
    param: 'purpose',
    hint: near ? `Did you mean '${near}'?` : "Training and validation files have the purpose 'fine-tune'.",
  });
}

function refuseExpiry(seconds: number | undefined): void {
  if (seconds === undefined || (Number.isInteger(seconds) && seconds >= EXPIRY_S.min && seconds <= EXPIRY_S.max))
    return;
  throw new AppError(
    'invalid_value',
    `'expires_after[seconds]' is ${seconds}, not a whole number from ${EXPIRY_S.min} to ${EXPIRY_S.max}.`,
    {
      param: 'expires_after',
      hint: 'An hour is 3600, thirty days are 2592000; leave it out to keep the file.',
    },
  );
}

/** The last part of a path, without control letters; only shown, never used as a path. */
export function plainName(filename: string): string {
  const last = filename.split(/[/\\]/).at(-1) ?? '';
  let name = '';
  for (const letter of last) {
    if (name.length + letter.length > NAME_LENGTH_MAX) break;
    if (letter >= ' ' && letter !== '\u007f') name += letter;
  }
  return name || 'file.jsonl';
}
