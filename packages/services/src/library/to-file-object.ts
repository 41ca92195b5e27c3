import type { FileObject } from '@moraine/contract';
import type { FileModel } from '../ground/generated/models.js';
import { toSeconds, toSecondsOrNull } from '../ground/time.js';

/** What of a file's row its wire object is made of. */
export type FileColumns = Omit<
  FileModel,
  'sizeBytes' | 'projectId' | 'blobKey' | 'deletedAt' | 'keyId' | 'idempotencyKey'
> & {
  sizeBytes: number | bigint;
};

export function toFileObject(row: FileColumns): FileObject {
  return {
    id: row.id,
    object: 'file',
    bytes: Number(row.sizeBytes),
    created_at: toSeconds(row.createdAt),
    filename: row.filename,
    purpose: row.purpose as FileObject['purpose'],
    status: row.status as FileObject['status'],
    status_details: row.statusDetails,
    expires_at: toSecondsOrNull(row.expiresAt),
    sha256: row.sha256,
    format: row.format as FileObject['format'],
    rows: row.rows,
    problems: row.problems as FileObject['problems'],
  };
}
