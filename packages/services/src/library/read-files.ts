import type { FileObject } from '@moraine/contract';
import type { Actor, Services } from '../ground/context.js';
import { prepared } from '../ground/prepared.js';
import { type FileColumns, toFileObject } from './to-file-object.js';

const FILES = `
  SELECT id, size_bytes::float8 AS "sizeBytes", created_at AS "createdAt", filename, purpose, status, status_details AS "statusDetails",
    expires_at AS "expiresAt", sha256, format, rows, problems
  FROM files WHERE project_id = $1 AND deleted_at IS NULL AND (expires_at IS NULL OR expires_at > now())`;

/** Files that the caller may see; `rest`: more conditions, with order and limit, whose values come after `$1`. */
export async function readFiles(
  s: Services,
  { projectId }: Actor,
  rest: string,
  values: unknown[],
): Promise<FileObject[]> {
  const { rows } = await s.pg.query<FileColumns>(prepared(`${FILES} ${rest}`, [projectId, ...values]));
  return rows.map(toFileObject);
}
