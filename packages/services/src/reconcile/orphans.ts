import type { Services } from '../ground/context.js';
import { usersOfFile } from '../library/users-of-file.js';

/** Folders of attempts that are older than this and belong to nothing are collected. */
const AGE = '1 hour';
const PAGE = 200;

/** Files past their time lose their bytes; the row stays, marked as deleted. */
export async function collectExpiredFiles(s: Services): Promise<number> {
  const { rows } = await s.pg.query<{ blob_key: string }>(
    `UPDATE files f SET deleted_at = now() WHERE f.id IN (
       SELECT id FROM files WHERE expires_at < now() AND deleted_at IS NULL LIMIT $1)
       AND NOT EXISTS (${usersOfFile('f.id', 'f.project_id')})
     RETURNING blob_key`,
    [PAGE],
  );
  for (const { blob_key } of rows) await s.blobs.remove(blob_key);
  return rows.length;
}

/** Rows that nobody can use any more: links and sessions past their time, webhooks that were sent a month ago, workers silent for a week that no attempt names. */
export async function forgetExpired(s: Services): Promise<void> {
  await s.pg.query('DELETE FROM login_links WHERE expires_at < now()');
  await s.pg.query('DELETE FROM sessions WHERE expires_at < now()');
  await s.pg.query(
    `DELETE FROM webhook_deliveries WHERE status <> 'pending' AND created_at < now() - interval '30 days'`,
  );
  await s.pg.query(
    `DELETE FROM workers w WHERE w.heartbeat_at < now() - interval '7 days'
       AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.worker_id = w.id)`,
  );
}

/**
 * What ended attempts left in blob storage without a row: uploads cut short before their row, and checkpoints whose row says deleted.
 * Looks at attempts that ended an hour to a day ago, or that lost a checkpoint in the last day, a page at a time in no order, so that each has its turn.
 */
export async function collectOrphans(s: Services): Promise<number> {
  const { rows } = await s.pg.query<{ run_id: string; attempt: number; keys: string[] }>(
    `SELECT a.task_id AS run_id, a.attempt, array(
       SELECT blob_key FROM checkpoints c WHERE c.run_id = a.task_id AND c.deleted_at IS NULL
       UNION ALL SELECT blob_key FROM adapters d WHERE d.run_id = a.task_id AND d.blob_key IS NOT NULL
       UNION ALL SELECT blob_key FROM files f WHERE f.blob_key LIKE 'runs/' || a.task_id || '/%' AND f.deleted_at IS NULL
     ) AS keys
     FROM attempts a JOIN tasks t ON t.id = a.task_id AND t.deleted_at IS NULL WHERE a.finished_at < now() - interval '${AGE}' AND (a.finished_at > now() - interval '1 day' OR EXISTS (
       SELECT 1 FROM checkpoints c WHERE c.run_id = a.task_id AND c.attempt = a.attempt AND c.deleted_at > now() - interval '1 day'))
     ORDER BY random() LIMIT $1`,
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
