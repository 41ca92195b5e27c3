import { AppError } from '@moraine/contract';
import type { Services } from '../ground/context.js';

export interface ServedBase {
  sha256: string;
  blobPrefix: string;
  sizeBytes: number;
}

interface BaseRow {
  sha256: string;
  blob_prefix: string;
  size_bytes: string;
}

/**
 * A base that is to be resident, by its hash or its first letters, or by its name in any project.
 * @throws AppError `not_found`; `conflict` where several bases of different content have that name.
 */
export async function findBaseByHash(s: Services, nameOrHash: string): Promise<ServedBase> {
  const { rows } = await s.pg.query<BaseRow>(
    `SELECT DISTINCT ON (sha256) sha256, blob_prefix, size_bytes FROM bases
     WHERE deleted_at IS NULL AND (name = $1 OR (length($1) >= 8 AND starts_with(sha256, $1))) ORDER BY sha256, created_at DESC`,
    [nameOrHash],
  );
  const [row, other] = rows;
  if (row === undefined)
    throw new AppError('not_found', `There is no base '${nameOrHash}'.`, {
      param: 'base',
      hint: 'npx moraine models ls lists the bases of a project.',
    });
  if (other !== undefined)
    throw new AppError('conflict', `Several bases are called '${nameOrHash}'.`, {
      param: 'base',
      hint: `Give the hash of one: ${rows.map(({ sha256 }) => sha256.slice(0, 12)).join(', ')}.`,
    });
  return { sha256: row.sha256, blobPrefix: row.blob_prefix, sizeBytes: Number(row.size_bytes) };
}
