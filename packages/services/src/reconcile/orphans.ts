import type { Services } from '../context.js';

/** Folders of attempts that are older than this and belong to nothing are collected. */
const AGE = '1 hour';
const PAGE = 200;

/** Files past their time lose their bytes; the row stays, marked as deleted. */
export async function collectExpiredFiles(s: Services): Promise<number> {
  const { rows } = await s.pg.query<{ blob_key: string }>(
    `UPDATE files f SET deleted_at = now() WHERE f.id IN (
       SELECT id FROM files WHERE expires_at < now() AND deleted_at IS NULL LIMIT $1)
       AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.finished_at IS NULL AND r.deleted_at IS NULL AND r.project_id = f.project_id
         AND (r.training_file_id = f.id OR r.validation_file_id = f.id OR r.config -> 'evaluation' -> 'files' ? f.id))
     RETURNING blob_key`,
    [PAGE],
  );
  for (const { blob_key } of rows) await s.blobs.remove(blob_key);
  return rows.length;
}

/**
 * What ended attempts left in blob storage without a row: uploads cut short before their row, and checkpoints whose row says deleted.
 * Looks at attempts that ended within a day, each once an hour of rest after its end.
 */
export async function collectOrphans(s: Services): Promise<number> {
  const { rows } = await s.pg.query<{ run_id: string; attempt: number; keys: string[] }>(
    `SELECT a.run_id, a.attempt, array(
       SELECT blob_key FROM checkpoints c WHERE c.run_id = a.run_id AND c.deleted_at IS NULL
       UNION ALL SELECT blob_key FROM adapters d WHERE d.run_id = a.run_id
       UNION ALL SELECT blob_key FROM files f WHERE f.blob_key LIKE 'runs/' || a.run_id || '/%' AND f.deleted_at IS NULL
     ) AS keys
     FROM attempts a WHERE a.finished_at BETWEEN now() - interval '1 day' AND now() - interval '${AGE}' LIMIT $1`,
    [PAGE],
  );
  let removed = 0;
  for (const { run_id, attempt, keys } of rows) {
    const prefix = `runs/${run_id}/attempts/${attempt}`;
    for (const { path } of await s.blobs.list(prefix)) {
      const key = `${prefix}/${path}`;
      if (keys.some((kept) => key === kept || key.startsWith(`${kept}/`))) continue;
      await s.blobs.remove(key);
      removed++;
    }
  }
  return removed;
}
